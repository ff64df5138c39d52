"""The job `robots.flight`: a formation flies, and a film and a table are left."""

from __future__ import annotations

import numpy as np

from espalier.core.report.blocks import Block, Curves, Image, Number, Table
from espalier.core.run.run import Run
from espalier.robots.animate import save_animation
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.metrics import measure
from espalier.robots.swarm.fleet.simulate import TICK_S, simulate
from espalier.robots.swarm.show.film import film, moments

LOG_EVERY = 5
"""Looks."""


def fly(config: FlightConfig, run: Run) -> dict[str, float]:
    """Simulate, measure, film. A flight of seconds is repeated rather than resumed."""
    if run.resumed:
        run.metrics.rewind(0)
    looks = round(config.seconds / TICK_S) + 1
    with run.progress(looks, "looks") as progress:

        def watch(now_s: float) -> bool:
            progress.update(round(now_s / TICK_S) + 1, {"seconds": now_s})
            return not run.stop.requested

        flight = simulate(config, run.seed, watch)
    if run.stop.requested:
        return {}
    recording, found = flight.recording, measure(flight.recording)
    for step in range(0, len(recording.times), LOG_EVERY):
        values = {
            "flight/error_percent": 100.0 * found.shape.error[step],
            "flight/separation_m": found.safety.separation[step],
            "flight/clearance_m": found.safety.clearance[step],
        }
        run.metrics.log(step + 1, {name: float(value) for name, value in values.items() if np.isfinite(value)})
    steps, every_s = moments(recording, config.film_every_s)
    for name in ("flight.gif", "flight.mp4") if config.film_mp4 else ("flight.gif",):
        frames = film(recording, found.shape.error, steps.tolist(), config.film_view)
        save_animation(frames, run.artefact(name), 1.0 / every_s if every_s else 1.0)
    recording.save(run.artefact("flight.npz"))
    measured = figures(flight, found)
    rows: list[list[str | Number]] = [[name.replace("_", " "), value] for name, value in measured.items()]
    blocks: list[Block] = [
        Image("The flight", "artefacts/flight.gif", wide=True, note="rings: the places of the best fitting formation"),
        Table("Figures", ["", "value"], rows),
        Curves("Formation error, %", ["flight/error_percent"]),
        Curves("Least separation and clearance, m", ["flight/separation_m", "flight/clearance_m"]),
    ]
    run.report(blocks)
    return measured
