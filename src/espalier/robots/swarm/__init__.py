"""Swarms that keep their formation when some of their vehicles fail: registration, trajectories, worlds, simulation."""
