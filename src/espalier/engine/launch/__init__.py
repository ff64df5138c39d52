"""Starts and ends servers of other projects."""
