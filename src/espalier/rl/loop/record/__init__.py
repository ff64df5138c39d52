"""What is recorded of each training step: metrics, costs and sampled answers."""
