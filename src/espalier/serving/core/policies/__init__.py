"""Policies that place a request at once, one a file."""
