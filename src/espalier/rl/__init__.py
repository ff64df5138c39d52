"""Reinforcement learning: trajectories, algorithms, rollout, learner and the training loop."""
