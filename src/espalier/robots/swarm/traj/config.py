"""Settings of one agent's trajectory. Lengths are metres, times seconds; what the reference leaves open is ours."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config

VEHICLE_M = 0.2
"""Radius of a vehicle: an obstacle that is nearer to its middle touches it, and so does another within twice that."""


class LimitsConfig(Config):
    """What a trajectory keeps to. The optimiser begins to push away at a distance; the check fails at a shorter one."""

    speed_mps: PositiveFloat = 2.0
    """Greatest speed; a soft limit, of which plans with a fifth more are not flown. In formation vehicles fly at the
    planner's `pace` of it, where `front_end.cruise_mps`, by which plans are laid out, is not far below that. Ours."""
    accel_mps2: PositiveFloat = 4.0
    """Greatest acceleration; soft likewise. Ours."""
    clearance_m: PositiveFloat = 0.5
    """Obstacles push from here on. The reference's."""
    least_clearance_m: NonNegativeFloat = VEHICLE_M + 0.05
    """Nearer to an obstacle is a violation: 5 cm more than the radius of the vehicle. Ours."""
    separation_m: PositiveFloat = 0.5
    """Nearer to another vehicle is a violation, where a metre of height counts half: vehicles blow downwards. The
    reference's."""
    separation_factor: float = Field(default=1.5, ge=1.0)
    """Others push from `separation_m` times this on. The reference's."""
    floor_m: float | None = 0.3
    """Least altitude; None for none. Ours."""
    ceiling_m: float | None = None
    """Greatest altitude; None for none. Ours."""

    @model_validator(mode="after")
    def _ordered(self) -> LimitsConfig:
        if self.least_clearance_m > self.clearance_m:
            raise ValueError(f"least_clearance_m: {self.least_clearance_m:g} is more than clearance_m")
        if self.floor_m is not None and self.ceiling_m is not None and self.floor_m >= self.ceiling_m:
            raise ValueError(f"floor_m: {self.floor_m:g} leaves nothing below ceiling_m, {self.ceiling_m:g}")
        return self


class WeightsConfig(Config):
    """Of the terms beside the effort. The defaults are the reference's unless said otherwise."""

    obstacle: NonNegativeFloat = 50_000.0
    """Of the clearance missing, cubed, over time."""
    reciprocal: NonNegativeFloat = 50_000.0
    """Of the squared separation missing, cubed, over time and others."""
    dynamics: NonNegativeFloat = 10_000.0
    """Of the squared speed too much, cubed, and of the squared acceleration too much, cubed, over time."""
    altitude: NonNegativeFloat = 50_000.0
    """Of the metres below the floor or above the ceiling, cubed, over time. Ours."""
    formation: NonNegativeFloat = 1_000.0
    """Of the mean squared distance to the formation's places. Ours: the reference's 15 000 weighs another measure."""
    graph: NonNegativeFloat = 500.0
    """Of the mean error of the graph of distances, times the mean degree of the desired graph in square metres, which
    makes it as stiff for many vehicles as for few. More keeps the shape better and slows all down: with this, flights
    of 36 and 120 are as fast as by registration. Ours: the reference's 15 000 is for seven, and not so scaled."""
    spacing: NonNegativeFloat = 10_000.0
    """Of the variance of the squared distances between sample points."""
    time: NonNegativeFloat = 80.0
    """Of the duration."""
    goal: NonNegativeFloat = 200.0
    """Of the squared distance to the goal of an end that is free. Ours."""


class SolverConfig(Config):
    """The optimiser."""

    samples: PositiveInt = 10
    """Points a piece at which the terms are taken. Ours."""
    memory: PositiveInt = 16
    """Steps that L-BFGS remembers. The reference's."""
    iterations: PositiveInt = 60
    """At most so many without a formation. The reference's."""
    formation_iterations: PositiveInt = 20
    """At most so many with one. The reference's."""
    tolerance: PositiveFloat = 1e-5
    """A step that lowers the cost by a smaller share than this is the last. Ours."""
    formation_share: float = Field(default=0.75, gt=0.0, le=1.0)
    """Places of the formation count over this first part of the horizon; the reference has 2/3 to 4/5."""


class FrontEndConfig(Config):
    """The first guess. All defaults are ours but the length of a piece."""

    pitch_m: PositiveFloat = 0.25
    """Of the lattice that is searched."""
    clearance_m: PositiveFloat = 0.5
    """Wanted from obstacles: ways with less are costlier."""
    least_clearance_m: NonNegativeFloat = 0.3
    """Kept from obstacles."""
    room_m: PositiveFloat = 3.0
    """The search goes no farther than this beyond the box around start and goal."""
    most_room_m: PositiveFloat | None = None
    """Where it finds no way it goes twice as far, and again, but no farther than this; None for all of the world."""
    again_s: NonNegativeFloat = 4.0
    """Where there was no way in all of the world, it goes no farther than `room_m` for so long."""
    piece_m: PositiveFloat = 2.0
    """Length of a piece. The reference's."""
    most_pieces: PositiveInt = 8
    """At most so many; then they are longer."""
    cruise_mps: PositiveFloat = 1.5
    """Speed of the first guess; a plan reaches as far as that takes it within the horizon."""
    accel_mps2: PositiveFloat = 2.0
    """Acceleration of the first guess."""
    right_m: NonNegativeFloat = 0.05
    """The first guess lies so far to the right of the way: of two that meet head-on, neither stays in the middle."""


class TrajectoryConfig(Config):
    """How one agent plans."""

    limits: LimitsConfig = LimitsConfig()
    """What a trajectory keeps to."""
    weights: WeightsConfig = WeightsConfig()
    """Of the terms."""
    solver: SolverConfig = SolverConfig()
    """The optimiser."""
    front_end: FrontEndConfig = FrontEndConfig()
    """The first guess."""

    @model_validator(mode="after")
    def _can_cruise(self) -> TrajectoryConfig:
        cruise, fastest = self.front_end.cruise_mps, self.limits.speed_mps
        if cruise > fastest:
            raise ValueError(f"front_end.cruise_mps: {cruise:g} is more than limits.speed_mps, {fastest:g}")
        return self
