"""Rows into micro-batches."""
