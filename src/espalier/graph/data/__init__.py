"""Graph data: the graph itself, readers of files, splits."""
