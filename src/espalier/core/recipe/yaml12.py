"""YAML by the core schema of YAML 1.2: `3e-4` is a number, and `on`, `1:30` and `2024-01-01` are text.

PyYAML follows YAML 1.1, in which all four are otherwise.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any

import yaml

_RESOLVERS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9](?:_?[0-9])*", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9](?:_?[0-9])*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class Loader(yaml.SafeLoader):
    """Safe, by the core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the shape of PyYAML's own


class _Dumper(yaml.SafeDumper):
    """Quotes the text that `Loader` would read as something else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts out, rather than as anchors."""
        return True


def _represent_str(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Unless they are escaped, the line breaks that YAML 1.1 knows besides \n come back as something else.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029\r") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _construct_int(loader: Loader, node: yaml.ScalarNode) -> int:
    return int(node.value.replace("_", ""))  # PyYAML would read 010 as octal


_Dumper.add_representer(str, _represent_str)
Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
for _tag, _pattern, _first in _RESOLVERS:
    for _class in (Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def scalar(node: yaml.Node) -> Any:
    """The value of a scalar node. Raises ValueError where its tag does not fit its text."""
    loader = Loader("")
    try:
        return loader.construct_object(node)
    except yaml.MarkedYAMLError as error:
        raise ValueError(error.problem) from None
    except Exception:  # each tag's constructor fails in its own way
        kind = node.tag.rpartition(":")[2]
        raise ValueError(f"{reprlib.repr(node.value)} is no value of the type {kind}") from None
    finally:
        loader.dispose()


def load(text: str) -> Any:
    """The value of a YAML document."""
    return yaml.load(text, Loader)


def dump(value: Any) -> str:
    """Plain data as YAML that `load` reads back, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
