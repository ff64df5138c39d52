"""Where the processes of a run are: on this machine, or on a Ray cluster."""
