"""From tasks to scored groups of trajectories."""
