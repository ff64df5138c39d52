"""From groups of trajectories to new weights."""
