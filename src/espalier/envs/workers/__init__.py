"""Processes that run what may never end: other libraries' judges, and the user's own code."""
