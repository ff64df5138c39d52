"""What was seen of a flight, in memory and as a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.robots.swarm.world.world import World

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
ARRAYS = ("times", "positions", "slot", "act", "formations", "goals", "struck", "adrift")
KINDS = "ffiiffbb"
"""NumPy's, of these."""


@dataclass(frozen=True)
class Recording:
    """times: (t,) seconds. positions: (t, n, 3), NaN of a vehicle that is gone. slot: (t, n) that each holds, -1 for
    none. act: (t,) which of the formations (acts, n, 3) is flown, to which of the goals (acts, 3). struck: (t, n)
    whether something has befallen it at that time. adrift: (t, n) whether it cannot steer then: liars can, and until
    their next turn so can others.
    """

    times: Floats
    positions: Floats
    slot: Ints
    act: Ints
    formations: Floats
    goals: Floats
    struck: Flags
    adrift: Flags
    world: World

    @property
    def healthy(self) -> Flags:
        """(n,): whom nothing ever befell."""
        return np.logical_not(np.any(self.struck, axis=0))

    def groups(self, members: Flags) -> Iterator[tuple[Ints, Flags, Floats]]:
        """Times that have the same slots: which of them (k,), who of the members (n,) holds a slot, and their slots
        (m, 3).
        """
        rows = np.column_stack([self.act, np.where(members & np.isfinite(self.positions[..., 0]), self.slot, -1)])
        kinds, which = np.unique(rows, axis=0, return_inverse=True)
        for k, (act, *slot) in enumerate(kinds.tolist()):
            held = np.array(slot)
            yield np.flatnonzero(which.ravel() == k), held >= 0, self.formations[act, held[held >= 0]]

    def save(self, file: Path) -> None:
        """As NPZ: the arrays by their names, and the world's occupancy; without pickles."""
        stream, world = io.BytesIO(), self.world
        np.savez_compressed(
            stream,
            allow_pickle=False,
            times=self.times,
            positions=self.positions,
            slot=self.slot,
            act=self.act,
            formations=self.formations,
            goals=self.goals,
            struck=self.struck,
            adrift=self.adrift,
            occupancy=world.occupancy,
            origin=world.origin,
            cell_m=world.cell_m,
        )
        write_atomic(file, stream.getvalue())

    @classmethod
    def load(cls, file: Path) -> Recording:
        """What `save` wrote; distances are those of the grid then. Raises DataError for another file."""
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
        except Exception as error:  # NumPy and zipfile raise many kinds
            why = "it holds more than arrays" if "pickle" in str(error) else str(error)
            raise DataError(f"{file} cannot be read as NPZ: {why}") from None
        try:
            world = World.of_occupancy(arrays["occupancy"], arrays["origin"], float(arrays["cell_m"]))
            kinds = [np.asarray(arrays[name]).dtype.kind for name in ARRAYS]
            found = cls(**{name: arrays[name] for name in ARRAYS}, world=world)
        except KeyError as error:
            raise DataError(f"{file} holds no flight: it has no {error.args[0]!r}") from None
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"{file} holds no flight: {error}") from None
        if kinds != list(KINDS):
            raise DataError(f"{file} holds no flight: its arrays are of the kinds {kinds}, not {list(KINDS)}")
        steps, n = found.positions.shape[:2] if found.positions.ndim == 3 else (0, 0)
        acts = len(found.goals)
        right = [(steps,), (steps, n, 3), (steps, n), (steps,), (acts, n, 3), (acts, 3), (steps, n), (steps, n)]
        if not steps or [arrays[name].shape for name in ARRAYS] != right:
            raise DataError(f"{file} holds no flight: its arrays do not fit together")
        return found
