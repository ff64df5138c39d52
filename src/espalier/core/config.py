"""The base of every config section: frozen, strict about unknown keys, field docstrings as help."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from espalier.core.errors import ConfigError


class Config(BaseModel):
    """Frozen pydantic model. Unknown keys are errors; the string under a field is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The section with these values. Raises ConfigError where the constructor raises pydantic's error."""
        try:
            return cls(**values)
        except ValidationError as error:
            details = [(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
            raise ConfigError("; ".join(f"{name}: {what}" if name else what for name, what in details)) from None
