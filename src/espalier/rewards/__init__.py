"""Rewards: verifiers of finished episodes, composed with weights in a rubric."""
