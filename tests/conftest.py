"""Settings of all tests."""

import pytest
from hypothesis import settings

from espalier.core.data import DataRoot

# A shared machine may stall for longer than any deadline; slowness is measured in benchmarks, not here.
settings.register_profile("espalier", deadline=None)
settings.load_profile("espalier")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real data are skipped, and say so, where there is no data root."""
    if DataRoot.find().path is None:
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason="no data root: set ESPALIER_DATA"))
