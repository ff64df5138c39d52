"""Engines elsewhere: several as one, checked after each publish, and replaced when they are lost."""
