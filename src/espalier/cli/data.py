"""`espalier data list` and `espalier data fetch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from espalier.cli.options import settle
from espalier.core.errors import EspalierError
from espalier.core.fetch.cache import cache_root
from espalier.core.fetch.catalogue import ITEMS, Item, find_item
from espalier.core.fetch.wheel import checksum, fetch


def add_data(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier data`."""
    parser.add_argument("what", choices=["list", "fetch"], help="list: what there is and what is missing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="fetch: names that `espalier data list` shows")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="fetch: take it from this wheel, without a network")
    parser.add_argument("--check", action="store_true", help="list: compute the SHA-256 of what is there")


def data(args: argparse.Namespace) -> int:
    """List what can be fetched, or fetch it."""
    settle(args, "data", {"wheel": ("fetch",), "check": ("list",)})
    if args.what == "list":
        if args.names:
            raise EspalierError(f"data list takes no names, and {args.names[0]!r} is one")
        return _list(args.check)
    if not args.names:
        raise EspalierError(f"data fetch needs a name: {', '.join(ITEMS)}")
    if args.wheel is not None and len(args.names) > 1:
        raise EspalierError("data fetch --wheel takes one name: the wheel holds one item")
    for item in [find_item(name) for name in args.names]:
        fetch(item, cache_root(), wheel=args.wheel)
    return 0


def _list(check: bool) -> int:
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
            "recipes": ", ".join(item.recipes) or "any with a model: model.pretrained=" + item.name,
            "state": state,
        }
        print(f"\n{item.name}")
        for key, value in rows.items():
            print(f"  {key:<8} {value}")
    return 1 if wrong else 0


def _state(item: Item, root: Path, check: bool) -> str:
    path = item.path(root)
    if not path.exists():
        return f"missing: espalier data fetch {item.name}"
    if not item.present(root) or (check and checksum(path) != item.sha256):
        return f"wrong (size or SHA-256 differs): espalier data fetch {item.name} replaces {path}"
    return f"there: {path}"
