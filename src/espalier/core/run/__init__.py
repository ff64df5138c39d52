"""Runs: the folder, its checkpoints, what a job is given, and the table of runs."""
