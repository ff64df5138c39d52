"""Following a run: metrics on disk, sinks that pass them on, progress in the terminal."""
