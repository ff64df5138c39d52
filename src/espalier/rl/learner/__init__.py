"""The learner: computes new weights from groups of trajectories."""
