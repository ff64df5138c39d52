"""`python -m espalier`."""

import sys

from espalier.cli.main import main

sys.exit(main())
