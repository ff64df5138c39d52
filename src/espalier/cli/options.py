"""Options of commands with subcommands: each is for some of them, and refused by the others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from espalier.core.errors import EspalierError


def settle(args: argparse.Namespace, command: str, takes: Mapping[str, Sequence[str]], **defaults: object) -> None:
    """Fill in the defaults of the subcommand `args.what`. Raises EspalierError for an option that it does not take.

    takes: by option, the subcommands that do. The parser gives None, or False, for an option that is not there.
    """
    for option, users in takes.items():
        value = getattr(args, option)
        given = value is not None and value is not False
        if given and args.what not in users:
            others = " and ".join(f"{command} {user}" for user in users)
            raise EspalierError(f"{command} {args.what} has no --{option.replace('_', '-')}: it is of {others}")
        if not given and option in defaults:
            setattr(args, option, defaults[option])
