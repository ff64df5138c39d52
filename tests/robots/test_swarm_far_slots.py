from __future__ import annotations

from pathlib import Path

import pytest

from espalier.core.errors import DataError
from espalier.robots.swarm.formation.points import points


def test_slots_whose_middle_overflows_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "slots.csv"
    file.write_text("x,y,z\n1e308,0,0\n1.7e308,0,0\n")
    with pytest.raises(DataError, match="too far apart"):
        points(file, 2)
