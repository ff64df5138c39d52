from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from engine_models import decoder

from espalier.lm.decoder import Decoder


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """These models are too small for two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def model() -> Decoder:
    return decoder()
