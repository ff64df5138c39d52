"""Studies: arms x seeds, a process a cell, paired intervals, claims with controls, and verdicts."""
