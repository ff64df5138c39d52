"""The base of every config section: frozen, strict about unknown keys, field docstrings as help."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from espalier.core.errors import ConfigError
from espalier.core.recipe.explain import explain
from espalier.core.recipe.layers import Layers


class Config(BaseModel):
    """Frozen pydantic model. Unknown keys are errors; numbers are finite; the string under a field is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    selector: ClassVar[str | None] = None
    """The field that names a variant of the section and so gives its other fields their defaults."""

    @model_validator(mode="before")
    @classmethod
    def _sections_begin_with_their_defaults(cls, data: Any) -> Any:
        """A section given in part keeps what its default in this class says, not what the section's class says.

        A section that goes by another `name` than the default is something else, and keeps nothing of it.
        """
        if not isinstance(data, Mapping):
            return data
        out = dict(data)
        for name, field in cls.model_fields.items():
            default, given = field.default, out.get(name)
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


def _from(default: Config, given: Mapping[str, Any]) -> Mapping[str, Any]:
    own = getattr(default, "name", None)
    if given.get("name", own) != own:
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
