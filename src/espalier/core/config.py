"""The base of every config section: frozen, strict about unknown keys, field docstrings as help."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen pydantic model. Unknown keys are errors; the string under a field is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
