"""The report of a run: `blocks` say what to show, `build` makes one self-contained HTML file of a run folder."""
