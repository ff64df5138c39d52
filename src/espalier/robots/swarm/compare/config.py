"""Settings of a table of methods and cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from espalier.core.config import Config, merged
from espalier.robots.swarm.fleet.config import FlightConfig

Way = Literal["goal", "leader", "rigid", "graph", "sparse", "least_squares", "gnc", "kcore", "ransac"]
"""A method of planning; for registration, how it is done."""


class TableConfig(Config):
    """Every method in every case, with the same seeds."""

    base: FlightConfig = FlightConfig()
    """The flight that the cases change."""
    cases: dict[str, dict[str, Any]] = Field(default={"base": {}}, min_length=1)
    """By name, settings of a flight that differ from `base`; a `world` replaces that of the base."""
    methods: tuple[Way, ...] = ("goal", "leader", "rigid", "graph", "sparse", "least_squares", "gnc", "kcore", "ransac")
    """What is compared; the last four are registrations."""
    seeds: PositiveInt = 3
    """Of what happens to vehicles and messages."""
    workers: PositiveInt = 2
    """Processes."""

    @model_validator(mode="after")
    def _cases_are_flights(self) -> TableConfig:
        for where, settings in (("base", self.base.model_dump(exclude_unset=True)), *self.cases.items()):
            planned = settings.get("planner") or {}
            registered = planned.get("register_by") or {} if isinstance(planned, Mapping) else {}
            for key, told in (("method", planned), ("register_by.method", registered)):
                if isinstance(told, Mapping) and "method" in told:
                    raise ValueError(f"{where}: planner.{key}: the table flies by each of its methods; leave it out")
        for name in self.cases:
            self.flight(name, self.methods[0])
        return self

    def flight(self, case: str, way: Way) -> FlightConfig:
        """The flight of a case, by a method. Raises ConfigError for settings that no flight has."""
        base, change = self.base.model_dump(exclude_unset=True), self.cases[case]
        if "world" in change:
            base.pop("world", None)
        return FlightConfig.of(**merged(merged({"planner": planner(way)}, base), change))


def planner(way: Way) -> Mapping[str, Any]:
    """What a planner is told for it."""
    if way == "least_squares":
        return {"method": "registration", "register_by": {"method": way}, "stall_s": None}
    if way in ("ransac", "gnc", "kcore"):
        return {"method": "registration", "register_by": {"method": way}}
    return {"method": way}
