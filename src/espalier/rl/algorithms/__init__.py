"""Algorithms as pure functions on flat tensors, and the table that names their combinations."""
