"""`python -m espalier.cli.cell WORDS`: the command line, as the process of one cell of a study, which ends with it."""

from __future__ import annotations

import sys

from espalier.cli.main import main
from espalier.core.workers import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    sys.argv[0] = "espalier"
    sys.exit(main())
