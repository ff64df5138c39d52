"""`python -m espalier.core.study.cell WORDS`: the command line `espalier WORDS`, as the process of one cell."""

from __future__ import annotations

import runpy
import sys

from espalier.core.workers import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    sys.argv[0] = "espalier"
    runpy.run_module("espalier", run_name="__main__")
