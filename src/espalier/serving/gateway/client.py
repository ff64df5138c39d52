"""What the gateway reads from a client's request: key, deadline, priority and body. Errors name what is wrong."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from espalier.core.errors import DataError
from espalier.core.io.strict_json import BODY_PARTS, has_more_parts
from espalier.serving.gateway.engines.adapters import DEADLINE_HEADER


def has_key(headers: Mapping[str, str], keys: Sequence[SecretStr]) -> bool:
    """Whether `Authorization: Bearer` has one of the keys. Without keys, every request is accepted."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    given = key.strip().encode(errors="surrogateescape")
    known = [hmac.compare_digest(given, one.get_secret_value().encode()) for one in keys]
    return not keys or (scheme.lower() == "bearer" and any(known))


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises DataError if it is not an object or has too many parts."""
    if has_more_parts(body, BODY_PARTS):
        raise DataError(f"the body has more than {BODY_PARTS:,} texts, keys, lists and objects")
    try:
        said = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"the body is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise DataError("the body is nested too deeply") from None
    except ValueError:  # Python converts no longer ones
        raise DataError("the body has a number of more than 4,300 digits") from None
    if not isinstance(said, dict):
        raise DataError(f"the body is not a JSON object: it is {_KINDS[type(said)]}")
    return said


def patience(headers: Mapping[str, str]) -> float:
    """Seconds that a client allows its request to be held; infinite without the header. Raises DataError."""
    header = headers.get(DEADLINE_HEADER)
    try:
        seconds = float("inf") if header is None else float(header)
    except ValueError:
        seconds = 0.0
    if not seconds > 0.0:
        raise DataError(f"the header {DEADLINE_HEADER} must be a number of seconds above 0, not {header!r}")
    return seconds


def priority(said: Mapping[str, Any]) -> int:
    """The request's priority: higher values go first, 0 by default. Raises DataError if it is not an integer."""
    value = said.get("priority")
    if value is not None and type(value) is not int:
        raise DataError(f"priority must be an integer, not {_KINDS[type(value)]}")
    return value or 0


_KINDS = {
    str: "text",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "a truth value",
    type(None): "null",
}
"""JSON names of Python types."""
