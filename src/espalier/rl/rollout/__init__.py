"""Rollouts: from tasks to scored groups of trajectories."""
