"""`espalier data list` and `espalier data fetch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from espalier.cli.jobs import find_job
from espalier.cli.options import settle
from espalier.cli.places import all_recipes
from espalier.core.data import DataRoot
from espalier.core.errors import EspalierError
from espalier.core.fetch.cache import cache_root
from espalier.core.fetch.catalogue import ITEMS, Item, find_item
from espalier.core.fetch.reads import Read
from espalier.core.fetch.sources import source_of
from espalier.core.fetch.wheel import fetch
from espalier.core.io.files import checksum
from espalier.core.recipe.resolve import load_recipe

Users = dict[Read | Item, list[str]]
"""What recipes read, each with the names of the recipes."""


def add_data(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier data`."""
    parser.add_argument("what", choices=["list", "fetch"], help="list: what there is and what is missing")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"fetch: {', '.join(ITEMS)}")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="fetch: take it from this wheel, without a network")
    parser.add_argument("--check", action="store_true", help="list: compute the SHA-256 of what is there")
    parser.add_argument("--data-root", type=Path, help="list: folder of data sets (default: ESPALIER_DATA)")


def data(args: argparse.Namespace) -> int:
    """List what can be fetched, or fetch it."""
    settle(args, "data", {"wheel": ("fetch",), "check": ("list",), "data_root": ("list",)})
    if args.what == "list":
        if args.names:
            raise EspalierError(f"data list takes no names, and {args.names[0]!r} is one")
        return _list(args.check, DataRoot.find(args.data_root))
    if not args.names:
        raise EspalierError(f"data fetch needs a name: {', '.join(ITEMS)}")
    if args.wheel is not None and len(args.names) > 1:
        raise EspalierError("data fetch --wheel takes one name: the wheel holds one item")
    for name in args.names:
        if name not in ITEMS and (source := source_of(name)):
            raise EspalierError(
                f"data fetch fetches {', '.join(ITEMS)}. Get {name} from {source}, and put it below the data root at "
                "that path; recipes of graphs download theirs into a data root that exists"
            )
    for item in [find_item(name) for name in args.names]:
        fetch(item, cache_root(), wheel=args.wheel)
    return 0


def _list(check: bool, data: DataRoot) -> int:
    users, broken = _users()
    wrong = _list_models(check, users)
    _list_files(data, users)
    for name, error in broken.items():
        print(f"\nrecipe {name} cannot be read: {error}")
    return 1 if wrong else 0


def _list_models(check: bool, users: Users) -> bool:
    """Print the models of the cache; returns whether a file there is wrong."""
    root, wrong = cache_root(), False
    print(f"data cache: {root}  (ESPALIER_CACHE sets another folder)")
    for item in ITEMS.values():
        state = _state(item, root, check)
        wrong |= state.startswith("wrong")
        wheel = item.source
        rows = {
            "what": f"{item.what}; {item.size / 1e6:.0f} MB",
            "licence": item.licence,
            "source": f"PyPI {wheel.package} {wheel.version}, {wheel.member}",
            "sha256": item.sha256,
            "recipes": ", ".join(users.get(item, ())) or "any with a model: model.pretrained=" + item.name,
            "state": state,
        }
        print(f"\n{item.name}")
        for key, value in rows.items():
            print(f"  {key:<8} {value}")
    return wrong


def _list_files(data: DataRoot, users: Users) -> None:
    """Print what recipes read below the data root."""
    where = data.path or "not known: set ESPALIER_DATA or pass --data-root"
    print(f"\ndata root: {where}")
    files = [(read, recipes) for read, recipes in users.items() if isinstance(read, Read)]
    for read, recipes in sorted(files, key=lambda entry: entry[0].place):
        source, found = source_of(read.place), read.found(data)
        missing = f"missing: {read.through} downloads it" if read.downloads(data) else "missing"
        rows = {
            "what": source.what if source else "",
            "source": str(source or ""),
            "recipes": ", ".join(recipes),
            "state": f"there: {found}" if found else missing,
        }
        print(f"\n{read.place}")
        for key, value in rows.items():
            if value:
                print(f"  {key:<8} {value}")


def _users() -> tuple[Users, dict[str, str]]:
    """What the recipes read; and, by name, the errors of recipes that cannot be read."""
    users: Users = {}
    broken: dict[str, str] = {}
    for name, file in all_recipes().items():
        try:
            recipe = load_recipe([file], [], find_job)
            reads = recipe.job.reads(recipe.config)
        except EspalierError as error:
            broken[name] = str(error).partition("\n")[0]
            continue
        for read in dict.fromkeys(reads):
            users.setdefault(read, []).append(name)
    return users, broken


def _state(item: Item, root: Path, check: bool) -> str:
    path = item.path(root)
    if not path.exists():
        return f"missing: espalier data fetch {item.name}"
    if not item.present(root) or (check and checksum(path) != item.sha256):
        return f"wrong (size or SHA-256 differs): espalier data fetch {item.name} replaces {path}"
    return f"there: {path}"
