"""Settings of all tests."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from espalier.core.data import DataRoot
from espalier.core.fetch.catalogue import SMOLLM2

VLLM = Path(__file__).parents[1] / ".venv-vllm" / "bin" / "python"

# A shared machine may stall for longer than any deadline; slowness is measured in benchmarks, not here.
settings.register_profile("espalier", deadline=None)
settings.load_profile("espalier")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _no_ray() -> str:
    """Why no test can run Ray here, if none can."""
    if importlib.util.find_spec("ray") is None:
        return "ray is not installed: pip install 'espalier[cluster]'"
    try:
        subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return "no network namespace can be made, in which Ray would be alone"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real data and of fetched models are skipped, and say so, where these are not there."""
    if not SMOLLM2.present():
        for item in items:
            if item.get_closest_marker("pretrained"):
                reason = f"{SMOLLM2.name} is not in the data cache: espalier data fetch {SMOLLM2.name}"
                item.add_marker(pytest.mark.skip(reason=reason))
    if not VLLM.exists():
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make vllm"))
    if any(item.get_closest_marker("gpu") for item in items) and not _cuda():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="torch finds no CUDA device"))
    if any(item.get_closest_marker("ray") for item in items) and (reason := _no_ray()):
        for item in items:
            if item.get_closest_marker("ray"):
                item.add_marker(pytest.mark.skip(reason=reason))
    if DataRoot.find().path is None:
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason="no data root: set ESPALIER_DATA"))
