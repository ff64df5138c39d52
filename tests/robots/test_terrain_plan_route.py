"""Routes and their files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from espalier.core.errors import DataError
from espalier.robots.terrain.export.save import load_map
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.route import Route
from espalier.robots.terrain.plan.route_files import degrees


def route(direction: tuple[float, ...] = (1, 1, 1, 1)) -> Route:
    """Four points far from the origin, of which one has no elevation."""
    return Route(
        points=np.array([[500_000.1234, 0.0], [500_003.1234, 4.0], [500_003.1234, 5.0], [500_003.1234, 7.0]]),
        elevation=np.array([1.0, np.nan, 2.0, 3.0]),
        cost=np.array([0.0, 0.2, 0.4, 0.4]),
        heading=np.array([0.9, 1.2, 1.5, 1.5]),
        curvature=np.array([0.0, 0.1, 0.0, 0.0]),
        direction=np.array(direction, float),
        speed=np.array([0.0, 1.0, 1.0, 0.0]),
        time=np.array([0.0, 10.0, 11.0, 15.0]),
        method="astar",
        expanded=7,
        ms=1.5,
    )


def test_lengths_and_means_by_hand() -> None:
    found = route()
    assert found.station.tolist() == pytest.approx([0, 5, 6, 8])
    assert (found.length_m, found.seconds, len(found)) == (pytest.approx(8), 15.0, 4)
    assert found.mean_cost == pytest.approx((5 * 0.1 + 1 * 0.3 + 2 * 0.4) / 8)
    here = replace(found, points=found.points[:1], cost=found.cost[:1])
    assert (here.length_m, here.mean_cost) == (0.0, 0.0)


def test_legs_share_the_cusp() -> None:
    assert [len(leg) for leg in route().legs()] == [4]
    ahead, back = route((1, 1, 1, -1)).legs()
    assert (ahead.points[-1] == back.points[0]).all()
    assert (len(ahead), ahead.direction.tolist(), back.direction.tolist()) == (3, [1, 1, 1], [-1, -1])
    assert (ahead.seconds, back.seconds, back.length_m) == (11.0, 4.0, 2.0)


def test_a_table(tmp_path: Path) -> None:
    file = route().save(tmp_path / "route.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0])[:7] == ["x", "y", "z", "heading", "curvature", "cost", "station"]
    assert [row["z"] for row in rows] == ["1.0000", "", "2.0000", "3.0000"]
    assert rows[1]["x"] == "500003.1234"
    assert [float(row["station"]) for row in rows] == [0, 5, 6, 8]
    assert [float(row["speed"]) for row in rows] == [0, 1, 1, 0]


def test_geojson_in_metres_and_in_degrees(tmp_path: Path) -> None:
    known = replace(route(), elevation=np.arange(4.0))
    found = json.loads(known.save(tmp_path / "a.geojson").read_text())
    assert (found["type"], found["geometry"]["type"]) == ("Feature", "LineString")
    assert found["geometry"]["coordinates"][1] == [500_003.1234, 4.0, 1.0]
    assert found["coordinates_are"] == "metres in the frame of the map"
    assert found["properties"] == {"method": "astar", "length_m": 8.0, "seconds": 15.0, "mean_cost": 0.2}
    found = json.loads(known.save(tmp_path / "a.geojson", epsg=32632).read_text())
    assert found["geometry"]["coordinates"][0] == [pytest.approx(9.0, abs=2e-6), pytest.approx(0.0, abs=1e-6), 0.0]
    assert not {"crs", "coordinates_are"} & found.keys(), "RFC 7946 knows degrees alone"
    near = replace(route(), points=route().points - route().points[0])
    found = json.loads(near.save(tmp_path / "a.geojson", origin=(47.0, 11.0)).read_text())
    assert "coordinates_are" not in found
    assert found["geometry"]["coordinates"][0] == [11.0, 47.0]  # an unknown height: none at all
    here = replace(near, points=near.points[:1], elevation=np.zeros(1), cost=np.zeros(1))
    found = json.loads(here.save(tmp_path / "a.geojson").read_text())
    assert len(found["geometry"]["coordinates"]) == 2


def test_a_route_over_a_map_that_knows_its_place_is_in_degrees(tmp_path: Path) -> None:
    layers = {"cost": np.zeros((20, 20), np.float32), "observed": np.ones((20, 20), np.float32)}
    ground = TerrainMap(Frame(0.5, 0, 0, 20, 20), layers)
    for settings in ({"epsg": 32633, "origin": (500_000.0, 5_000_000.0)}, {"origin_lat_lon": (45.153, 15.0)}):
        placed = load_map(ground.save(tmp_path / "a.tif", **settings))
        placed.plan((1, 1), (8, 8)).save(tmp_path / "a.geojson")
        longitude, latitude = json.loads((tmp_path / "a.geojson").read_text())["geometry"]["coordinates"][0]
        assert (longitude, latitude) == (pytest.approx(15.0, abs=1e-4), pytest.approx(45.153, abs=2e-3))
        again = load_map(placed.save(tmp_path / "b.tif"))
        assert again.place == placed.place, "and it goes into the next file"
    ground.plan((1, 1), (8, 8)).save(tmp_path / "a.geojson")
    assert "coordinates_are" in json.loads((tmp_path / "a.geojson").read_text())


def test_degrees_are_those_of_the_ellipsoid() -> None:
    def earth(longitude: float, latitude: float) -> np.ndarray:
        """Cartesian coordinates on WGS84, metres."""
        lam, phi = np.radians([longitude, latitude])
        square = 0.0066943799901413165
        normal = 6378137.0 / np.sqrt(1 - square * np.sin(phi) ** 2)
        flat = [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), (1 - square) * np.sin(phi)]
        return normal * np.array(flat)

    for latitude, longitude in ((47.0, 11.0), (-33.0, -70.0), (0.0, 179.9)):
        lam, phi = np.radians([longitude, latitude])
        east = np.array([-np.sin(lam), np.cos(lam), 0.0])
        north = np.array([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)])
        for xy in ((100.0, 0.0), (0.0, 100.0), (-60.0, 80.0)):
            there = earth(*degrees(np.array([xy]), latitude, longitude)[0]) - earth(longitude, latitude)
            assert (there @ east, there @ north) == (pytest.approx(xy[0], abs=3e-3), pytest.approx(xy[1], abs=3e-3))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: a route is written as \.csv or \.geojson, not '\.txt'"):
        route().save(tmp_path / "a.txt")
    with pytest.raises(DataError, match="not both"):
        route().save(tmp_path / "a.geojson", origin=(1, 2), epsg=3)
    with pytest.raises(DataError, match="is no latitude and longitude"):
        route().save(tmp_path / "a.geojson", origin=(95, 2))
    assert list(tmp_path.iterdir()) == []
