"""Makes the helper modules beside these tests importable, in workers too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
