"""The base of every config section: frozen, strict about unknown keys, field docstrings as help."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from espalier.core.errors import ConfigError
from espalier.core.recipe.explain import explain
from espalier.core.recipe.layers import Layers


class Config(BaseModel):
    """Frozen pydantic model. Unknown keys are errors, and so are `true` and `"3"` in the place of a number; numbers are
    finite; the string under a field is its help text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    selector: ClassVar[str | None] = None
    """The field that names a variant of the section and so gives its other fields their defaults."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields added since results were published, whose defaults change nothing: at their defaults they are left out of
    the hashes by which a study knows its cells."""

    @model_validator(mode="before")
    @classmethod
    def _sections_begin_with_their_defaults(cls, data: Any) -> Any:
        """A section given in part keeps what its default in this class says, not what the section's class says.

        A section of another variant than the default (see `selector`) is something else, and keeps nothing of it.
        """
        if not isinstance(data, Mapping):
            return data
        out = dict(data)
        for name, field in cls.model_fields.items():
            default, given = field.default, out.get(name)
            if _only_numbers(cls, name):
                out |= {name: _no_number(given)} if name in out else {}
            if isinstance(given, Mapping) and isinstance(default, Config) and field.annotation is type(default):
                out[name] = _from(default, given)
        return out

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The section with these values. Raises ConfigError where the constructor raises pydantic's error."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(explain(error, [cls], Layers(values)))) from None


@cache
def _only_numbers(model: type[BaseModel], name: str) -> bool:
    """Whether a field takes numbers, lists of numbers and None, and nothing else."""
    kinds = set(_leaves(model.model_fields[name].annotation))
    return bool(kinds & {int, float}) and kinds <= {int, float, NoneType, Ellipsis}


class _NoNumber:
    """Something that looks like a number to pydantic and is none in a recipe."""

    def __init__(self, value: bool | str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return str(self._value).lower() if isinstance(self._value, bool) else repr(self._value)


def _no_number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_no_number(item) for item in value]
    return _NoNumber(value) if isinstance(value, bool | str) else value


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of; what stands beside a type in `Annotated` is none."""
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _leaves(part)


def _from(default: Config, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if default.selector is not None:
        own = getattr(default, default.selector)
        if given.get(default.selector, own) != own:
            return given
    out = {name: getattr(default, name) for name in default.model_fields_set} | dict(given)
    for name, value in given.items():
        section = getattr(default, name, None)
        if isinstance(value, Mapping) and isinstance(section, Config):
            out[name] = _from(section, value)
    return out


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`: mappings merge, everything else is replaced."""
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if both else value
    return out
