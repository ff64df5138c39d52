"""Engines that are servers of other projects: one client, and a dialect for each kind of server."""
