"""What a recipe reads: files and folders below the data root, and models of the data cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.fetch.catalogue import Item
from espalier.core.fetch.sources import source_of


@dataclass(frozen=True, slots=True)
class Read:
    """A file or folder. name: as the recipe has it. folder: of the data root, where the name is looked for.

    through: a package that downloads what is missing into a data root that exists.
    """

    name: str
    folder: str = ""
    through: str = ""

    @property
    def known(self) -> bool:
        """Whether it is a public data set, or one that a package downloads."""
        return bool(self.through) or source_of(self.place) is not None

    @property
    def place(self) -> str:
        """Its path below the data root."""
        return str(PurePosixPath(self.folder, self.name))

    def found(self, data: DataRoot) -> Path | None:
        """Where it lies: beside the recipe, in the working directory, or below the data root."""
        return next((place for place in self.places(data) if place.exists()), None)

    def places(self, data: DataRoot) -> list[Path]:
        """Where it is looked for, in this order."""
        name = Path(self.name).expanduser()
        root = [data.path / self.place] if data.path and not name.is_absolute() else []
        return list(dict.fromkeys([*(folder / name for folder in (*data.beside, Path.cwd())), *root]))

    def downloads(self, data: DataRoot) -> bool:
        """Whether the job itself can try to download it."""
        return (
            bool(self.through) and data.path is not None and data.path.is_dir() and find_spec(self.through) is not None
        )


def check_reads(what: str, reads: Sequence[Read | Item], data: DataRoot) -> None:
    """Raises DataError, in one line that says where to get it, where something that `what` reads is missing."""
    missing = []
    for one in reads:
        if isinstance(one, Item):
            one.found()
        elif one.found(data) is None and not one.downloads(data):
            missing.append(one)
    if not missing:
        return
    own, public = [one for one in missing if not one.known], [one for one in missing if one.known]
    said = [*(_own(what, one, data) for one in own), *([_public(what, public, data)] if public else [])]
    raise DataError("\n".join(said))


def _own(what: str, missing: Read, data: DataRoot) -> str:
    """A file of the user's own is missing: where it was looked for, and which one there has a name like it."""
    places = missing.places(data)
    beside = {file.name for place in places for file in place.parent.glob(f"*{place.suffix}")}
    close = get_close_matches(Path(missing.name).name, beside, n=1, cutoff=0.75)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"{what} reads {missing.name}, and there is none: looked for {', '.join(map(str, places))}{meant}{data.hint}"


def _public(what: str, missing: Sequence[Read], data: DataRoot) -> str:
    root = f"the data root {data.path} lacks" if data.path else "no data root is known for"
    names = ", ".join(one.place for one in missing)
    sources = sorted({str(source) for one in missing if (source := source_of(one.place))})
    origin = f" (from {', '.join(sources)})" if sources else ""
    through = sorted({one.through for one in missing if one.through})
    downloads = f" ({', '.join(through)} downloads what an existing folder DIR lacks)" if through else ""
    return (
        f"{what} reads data, and {root} {names}{origin}. Put it below a folder DIR at that path, and set "
        f"ESPALIER_DATA=DIR or pass --data-root DIR{downloads}; `espalier data list` shows what each recipe reads"
    )
