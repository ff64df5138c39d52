"""Pydantic's errors in plain words: what is wrong, with which key, where it was set, and what was probably meant."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from espalier.core.errors import nearest
from espalier.core.recipe.layers import KeyPath, Layers, dotted_name

_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


Models = Sequence[type[BaseModel]]


def explain(error: ValidationError, roots: Models, layers: Layers) -> list[str]:
    """One line for each thing that is wrong with the recipe, whose keys are the fields of all `roots` together."""
    return list(dict.fromkeys(_line(detail, roots, layers) for detail in error.errors()))


def _line(detail: ErrorDetails, roots: Models, layers: Layers) -> str:
    path = _data_path(detail, layers.data)
    if named := _named(detail, layers):
        return f"{layers.origin(named)}: {detail['ctx']['error']}"
    origin = layers.origin(path) or next(
        (o for n in range(len(path) - 1, 0, -1) if (o := layers.origins.get(path[:n]))), None
    )
    where = f"{origin}: " if origin else ""
    return f"{where}{_problem(detail, roots, path)}"


def _named(detail: ErrorDetails, layers: Layers) -> KeyPath | None:
    """The key with which a validator's own message begins (`algorithm.name: ...`), if it was set somewhere."""
    if detail["type"] != "value_error":
        return None
    key = str(detail["ctx"]["error"]).partition(": ")[0]
    return next((path for path in layers.origins if dotted_name(path) == key), None)


def _problem(detail: ErrorDetails, roots: Models, path: KeyPath) -> str:
    name, kind, value = dotted_name(path), detail["type"], reprlib.repr(detail["input"])
    context: dict[str, Any] = detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return f"unknown key {name!r}{_meant(path, _holders(roots, detail['loc'][:-1]), roots)}"
        case "missing":
            return f"{name!r} is missing{_help(_holders(roots, detail['loc'][:-1]), str(path[-1]))}"
        case "literal_error" | "enum":
            return f"{name!r} cannot be {value}{nearest(str(detail['input']), _options(context['expected']))}"
        case "union_tag_invalid":
            tag = context["discriminator"].strip("'")
            good = nearest(context["tag"], _options(context["expected_tags"]))
            return f"{name!r} cannot have {tag} {context['tag']!r}{good}"
        case "union_tag_not_found":
            return f"{name!r} must have a key {context['discriminator']}"
        case "value_error":
            return f"{name!r}: {context['error']}" if name else str(context["error"])
        case _ if kind in _KINDS:
            return f"{name!r} must be {_KINDS[kind]}, not {value}"
    message = detail["msg"]
    if message.startswith("Input should "):
        return f"{name!r} must {message.removeprefix('Input should ')}, not {value}"
    return f"{name!r}: {message}"


def _data_path(detail: ErrorDetails, data: Any) -> KeyPath:
    """The error's location without the names of union members that pydantic puts into it."""
    path: KeyPath = ()
    for key in detail["loc"]:
        held = key in data if isinstance(data, dict) else isinstance(data, list) and key in range(len(data))
        if held:
            path, data = (*path, key), data[key]
    return (*path, detail["loc"][-1]) if detail["type"] == "missing" else path


def _holders(roots: Models, location: Sequence[str | int]) -> Models:
    """The models that may stand at pydantic's `location`: field names, list indices and names of union members."""
    models = list(roots)
    for key in location:
        fields = [m.model_fields[key] for m in models if key in m.model_fields]
        if fields:
            models = [inner for f in fields for inner in models_in(f.annotation)]
        else:
            models = [m for m in models if key == m.__name__ or _has_tag(m, key)] or models
    return models


def _has_tag(model: type[BaseModel], tag: object) -> bool:
    annotations = [f.annotation for f in model.model_fields.values()]
    return any(get_origin(a) is Literal and tag in get_args(a) for a in annotations)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """All models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _meant(path: KeyPath, holders: Models, roots: Models) -> str:
    """The nearest key beside the wrong one, else the same key elsewhere in the config."""
    wrong = str(path[-1])
    beside = {name for holder in holders for name in holder.model_fields}
    elsewhere = [p for root in roots for p in _all_paths(root) if p.rpartition(".")[2] == wrong]
    if not get_close_matches(wrong, beside, n=1) and elsewhere:
        return f"; did you mean {elsewhere[0]!r}?"
    return nearest(wrong, beside)


def _all_paths(model: type[BaseModel], prefix: str = "", depth: int = 6) -> Iterable[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        if depth and get_origin(info.annotation) not in (list, tuple, dict):
            for inner in models_in(info.annotation):
                yield from _all_paths(inner, f"{prefix}{name}.", depth - 1)


def _help(holders: Models, name: str) -> str:
    texts = [h.model_fields[name].description for h in holders if name in h.model_fields]
    return f" ({' '.join(texts[0].split())})" if texts and texts[0] else ""


def _options(expected: str) -> list[str]:
    """The names in pydantic's `'a', 'b' or 'c'`."""
    return [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
