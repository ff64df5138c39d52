"""Which tasks to train on next, and how many: state machines without a clock, saved in checkpoints."""
