"""Swarm: milliseconds of a plan, formations that lose a tenth of their vehicles in a forest, and a thousand vehicles.

"peer" is the target of the design, or least squares on the same flight. One core. Flights are those of
recipes/robots/formation_120.yaml and formation_1000.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from common import Row, arguments, finish
from espalier.core.recipe.layers import read_layers
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.simulate import simulate

RECIPES = Path(__file__).parents[1] / "recipes" / "robots"
PLAN_MS, TAIL_MS, PLAN_1000_MS = 15.0, 40.0, 60.0
ERROR, SHARE, DRAGGED = 0.6, 0.98, 0.6
FLIGHT_S, FLIGHT_1000_S = 60.0, 300.0


def flown(recipe: str, seed: int, **changes: Any) -> dict[str, float]:
    """Figures of a recipe's flight, and the seconds that it took."""
    values = read_layers([RECIPES / f"{recipe}.yaml"]).data
    config = FlightConfig.of(**{**{k: v for k, v in values.items() if k not in ("job", "name")}, **changes})
    begun = perf_counter()
    flight = simulate(config, seed)
    return {**figures(flight), "seconds": perf_counter() - begun}


def forest(seeds: int) -> list[Row]:
    """120 vehicles, 12 of which freeze; the worst of the seeds."""
    found = [flown("formation_120", seed) for seed in range(seeds)]
    error, share = max(one["error_percent"] for one in found), min(one["travelled_share"] for one in found)
    touches = sum(one["touches"] for one in found)
    median, tail = max(one["plan_ms_median"] for one in found), max(one["plan_ms_p95"] for one in found)
    seconds = max(one["seconds"] for one in found)
    squares = flown("formation_120", 0, planner={"register_by": {"method": "least_squares"}})
    near = min(one["least_separation_m"] for one in found)
    clear = min(one["least_clearance_m"] for one in found)
    note = f"least separation {near:.2f} m, least clearance {clear:.2f} m"
    return [
        Row("120, a plan, median", median, PLAN_MS, "ms", PLAN_MS / median, must=1.0),
        Row("120, a plan, 95th percentile", tail, TAIL_MS, "ms", TAIL_MS / tail, must=1.0),
        Row(f"120, forest, 10% frozen, worst error of {seeds} seeds", error, ERROR, "%", ERROR / error, must=1.0),
        Row("  least share of the way", share, SHARE, "", share / SHARE, must=1.0),
        Row("  touches in all", touches, 0.0, "", float(touches == 0), must=1.0, note=note),
        Row("  the way by least squares, dragged", squares["travelled_share"], DRAGGED, "", None),
        Row("  32 s of flight, simulated", seconds, FLIGHT_S, "s", FLIGHT_S / seconds, must=1.0),
    ]


def thousand() -> list[Row]:
    """1,000 vehicles for ten seconds."""
    found = flown("formation_1000", 0)
    median, seconds = found["plan_ms_median"], found["seconds"]
    return [
        Row("1,000, a plan, median", median, PLAN_1000_MS, "ms", PLAN_1000_MS / median, must=1.0),
        Row("  touches", found["touches"], 0.0, "", float(found["touches"] == 0), must=1.0),
        Row("  error", found["error_percent"], None, "%", None),
        Row("  10 s of flight, simulated", seconds, FLIGHT_1000_S, "s", FLIGHT_1000_S / seconds, must=1.0),
    ]


def main() -> int:
    """Run all, print the table."""
    args = arguments(__doc__ or "").parse_args()
    flown("formation_120", 0, n=7, shape="hexagon", seconds=1.0)
    rows = forest(1 if args.quick else 10) + ([] if args.quick else thousand())
    return finish("Swarm, beside its targets", rows, args, ("numpy", "scipy", "numba"))


if __name__ == "__main__":
    sys.exit(main())
