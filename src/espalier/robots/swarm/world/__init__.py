"""Worlds to fly through: obstacles, the distance to them, and how such worlds are made or loaded."""
