"""A route over the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.grid.place import Place
from espalier.robots.terrain.plan.curve import stations
from espalier.robots.terrain.plan.route_files import feature, lon_lat, table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Route:
    """points: (n, 2) x and y of the map, metres, from start to goal; the robot drives straight from one to the next.

    Of each point, (n,): elevation, metres, NaN where unknown; cost, that which the planner counted with; heading, of
    the robot, radians; curvature, 1/m, left positive; direction, 1 where the robot came forwards and -1 backwards;
    speed, m/s, negative backwards, and time, s, of the fastest drive to rest within the limits.
    method: of the search. expanded: cells or poses whose neighbours it looked at. ms: what planning took. place: where
    the map lies on Earth, if it knows.
    """

    points: Floats
    elevation: Floats
    cost: Floats
    heading: Floats
    curvature: Floats
    direction: Floats
    speed: Floats
    time: Floats
    method: str
    expanded: int
    ms: float
    place: Place | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def station(self) -> Floats:
        """(n,): length of the route up to each point, metres."""
        return stations(self.points)

    @property
    def length_m(self) -> float:
        """Of the whole route, seen from above."""
        return float(self.station[-1])

    @property
    def mean_cost(self) -> float:
        """Of the cost along the length."""
        if not self.length_m:
            return float(self.cost[0])
        between = (self.cost[1:] + self.cost[:-1]) / 2.0
        return float(between @ np.diff(self.station) / self.length_m)

    @property
    def seconds(self) -> float:
        """Of the drive."""
        return float(self.time[-1])

    def legs(self) -> list[Route]:
        """The route cut where the robot changes between forwards and backwards; neighbours share that point."""
        cuts = [0, *(np.flatnonzero(self.direction[1:-1] != self.direction[2:]) + 1).tolist(), len(self) - 1]
        return [self._part(first, last) for first, last in pairwise(cuts)]

    def _part(self, first: int, last: int) -> Route:
        if (first, last) == (0, len(self) - 1):
            return self
        part = slice(first, last + 1)
        direction = self.direction[part].copy()
        direction[0] = direction[-1]
        return replace(
            self,
            points=self.points[part],
            elevation=self.elevation[part],
            cost=self.cost[part],
            heading=self.heading[part],
            curvature=self.curvature[part],
            direction=direction,
            speed=self.speed[part],
            time=self.time[part] - self.time[first],
        )

    def save(self, file: str | Path, *, origin: tuple[float, float] | None = None, epsg: int | None = None) -> Path:
        """Write .csv, in the map's metres, or .geojson, in longitude and latitude where the place of the map is known.
        origin: latitude and longitude (degrees) of the map's (0, 0), whose x goes east and y north; or epsg: of the
        map's own coordinates; by default what the map says. Raises DataError for another suffix.
        """
        file = Path(file)
        if file.suffix == ".csv":
            text = self._table()
        elif file.suffix == ".geojson":
            text = self._feature(origin, epsg)
        else:
            raise DataError(
                f"{file}: a route is written as .csv or .geojson, not {file.suffix or 'without a suffix'!r}"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text)
        return file

    def _table(self) -> str:
        x, y = self.points.T
        columns = {"x": x, "y": y, "z": self.elevation, "heading": self.heading, "curvature": self.curvature}
        return table({**columns, "cost": self.cost, "station": self.station, "speed": self.speed})

    def _feature(self, origin: tuple[float, float] | None, epsg: int | None) -> str:
        xy = lon_lat(self.points, self.place, origin, epsg)
        line = self.points if xy is None else xy
        if np.isfinite(self.elevation).all():
            line = np.column_stack([line, self.elevation])
        properties = {
            "method": self.method,
            "length_m": round(self.length_m, 4),
            "seconds": round(self.seconds, 3),
            "mean_cost": round(self.mean_cost, 6),
        }
        return feature(line, xy is not None, properties)
