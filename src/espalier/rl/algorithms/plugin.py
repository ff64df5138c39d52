"""User-defined functions for the advantage, the loss or the off-policy correction. Imports without torch.

The parameter names of a function select its inputs, which `INPUTS` lists. All other parameters are options that the
recipe sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError, EspalierError, nearest
from espalier.core.plugins import culprit, imported, parameters
from espalier.core.recipe.beside import PluginName

Part = Literal["advantage", "loss", "correction"]
INPUTS: Mapping[Part, tuple[str, ...]] = {
    "advantage": ("rewards", "group", "lengths", "rows"),
    "loss": ("new", "old", "behave", "prox", "advantage", "row", "present"),
    "correction": ("new", "behave", "prox", "advantage", "row", "present"),
}
"""The inputs that each function can use. Arrays of an advantage are [R], one entry per row: `rewards` fp64, `group` the
number of its group, `lengths` its sampled tokens; `rows` are the trajectories. Tensors of the others are [M], one entry
per trained token: log-probs `new` (with gradient), `behave` and `prox`; `old`, the one of these two in the denominator
of the ratio; `advantage`; `row`, the number of its row; `present`, 1 if the token counts, else 0."""


class AlgorithmError(EspalierError):
    """A user-defined function raised an error or returned a value of the wrong form."""


class PluginConfig(Config):
    """Functions that replace the advantage, loss or correction of an algorithm, each given as `./file.py:function`."""

    advantage: PluginName | None = None
    """Returns [R] numbers, one per row, or one list per row with a number for each of its sampled tokens."""
    loss: PluginName | None = None
    """Returns [M] losses to be minimised, with a gradient to `new`."""
    correction: PluginName | None = None
    """Returns [M] weights of the losses, without gradient. The ratio is then new/prox."""
    options: dict[str, Any] = Field(default={})
    """Keyword arguments. A function receives an option if it has a parameter of that name."""

    @model_validator(mode="after")
    def _callable(self) -> Self:
        """Look at the functions' parameters, without running any code of theirs."""
        known: list[str] = []
        for part, where in self.named.items():
            own = [parameter for parameter in parameters(where) if parameter.name not in INPUTS[part]]
            known += [parameter.name for parameter in own]
            for name, required in own:
                if required and name not in self.options:
                    raise ConfigError(
                        f"algorithm.plugin.{part}: {where} needs {name!r}, which is not an input "
                        f"({', '.join(INPUTS[part])}) and not in algorithm.plugin.options"
                    )
        for name in self.options:
            if name not in known:
                near = nearest(name, known)
                raise ConfigError(f"algorithm.plugin.options: no function has an option {name!r}{near}")
        return self

    @property
    def named(self) -> dict[Part, str]:
        """The functions that are set."""
        given: dict[Part, str | None] = {
            "advantage": self.advantage,
            "loss": self.loss,
            "correction": self.correction,
        }
        return {part: where for part, where in given.items() if where is not None}

    def asks_for(self, part: Part, name: str) -> bool:
        """Whether the function for `part` is set and has a parameter `name`."""
        where = self.named.get(part)
        return where is not None and any(p.name == name for p in parameters(where))

    def call(self, part: Part, inputs: Mapping[str, Any]) -> Any:
        """Call the function for `part`. If it raises an error, raises AlgorithmError with its file and line."""
        where = self.named[part]
        names = [p.name for p in parameters(where)]
        known = {**{k: v for k, v in self.options.items() if k not in INPUTS[part]}, **inputs}
        try:
            return _function(where)(**{name: known[name] for name in names if name in known})
        except Exception as error:
            raise AlgorithmError(
                f"algorithm.plugin.{part}: {where} raised {type(error).__name__}: {error} ({culprit(error) or where})"
            ) from error


@cache
def _function(where: str) -> Any:
    return imported(where)
