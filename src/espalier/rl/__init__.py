"""Reinforcement learning: trajectories, algorithms, rollout, learner and the one loop."""
