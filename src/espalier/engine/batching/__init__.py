"""Continuous batching: schedule, run, sample."""
