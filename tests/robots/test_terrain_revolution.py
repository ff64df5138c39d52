"""Single revolutions of a lidar: rays, rings, and which points stay. Seeds that the filter was not tuned on."""

from __future__ import annotations

import numpy as np
import pytest

from espalier.robots.terrain.clean.rings import found_sensor, is_revolution, on_rings
from espalier.robots.terrain.clean.survey import survey
from espalier.robots.terrain.cloud.frames import pose_matrix, transform
from espalier.robots.terrain.compare.outliers import with_clutter
from espalier.robots.terrain.compare.revolution import BEAMS, Place, revolution
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.rays import first_hits
from espalier.robots.terrain.scenes.scene import make_scene
from espalier.robots.terrain.scenes.shapes import Box, Cylinder, Ellipsoid

SEED = 201


def test_rays_meet_what_stands_first_at_hand_computed_ranges() -> None:
    """A sensor 2 m above level ground; a box from x = 4, a trunk of 0.5 m radius around (0, 5), and a crown behind."""
    solids = [Box.between((4, -1, 0), (5, 1, 3)), Cylinder(np.array([0, 5.0, 2.0]), 0.5, 2.0)]
    rays = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0], [-0.6, 0, -0.8], [-1.0, 0, 0]])
    rng = np.random.default_rng(0)
    found = first_hits(lambda x, y: 0.0 * x * y, solids, np.array([0, 0, 2.0]), rays, 50.0, rng)
    assert found.tolist() == pytest.approx([4.0, 4.5, 2.0, 2.5, np.inf], abs=1e-6)
    crown = Ellipsoid(np.array([-9.0, 0, 2.0]), np.array([2.0, 2.0, 2.0]))
    many = np.tile(rays[-1], (2000, 1))
    ranges = first_hits(lambda x, y: 0.0 * x * y, [crown], np.array([0, 0, 2.0]), many, 50.0, rng)
    assert 7.0 <= ranges.min() < 7.02
    assert ranges[np.isfinite(ranges)].max() <= 11.0
    assert np.mean(np.isinf(ranges)) == pytest.approx(np.exp(-4.0 / 0.7), abs=0.005)


@pytest.mark.parametrize(("place", "beams"), [("plane", 16), ("slope", 16), ("street", 16), ("trees", 32)])
def test_a_single_scan_keeps_its_far_points_among_clutter(place: Place, beams: int) -> None:
    points = revolution(place, BEAMS[beams]._replace(step=0.4), SEED)
    assert survey(points, 20).kept.size >= 0.99 * len(points)
    dirty = with_clutter(points, 0.3, SEED)
    kept = survey(dirty, 20).kept
    assert np.count_nonzero(kept < len(points)) >= 0.99 * len(points)
    assert np.count_nonzero(kept >= len(points)) <= 0.1 * (len(dirty) - len(points))


def test_the_sensor_is_found_at_the_origin_and_above_the_ground() -> None:
    points = revolution("street", BEAMS[16], SEED)
    assert np.array_equal(found_sensor(points), np.zeros(3))
    raised = found_sensor(with_clutter(points + np.array([0.0, 0.0, 1.8]), 0.3, 0))
    assert raised is not None
    assert raised[2] == pytest.approx(1.8, abs=0.03)
    assert found_sensor(points + np.array([300.0, 0.0, 0.0])) is None
    for kind in ("hills", "rooms", "road"):
        cloud = make_scene(SceneConfig(kind=kind, size_m=12.0, density_per_m2=60.0)).cloud.points
        assert found_sensor(cloud) is None
        assert not is_revolution(cloud - (0.0, 0.0, 1.8))


def test_rings_hold_their_points_and_not_the_clutter() -> None:
    """Rings on level ground, out to 50 m, where neighbours are 0.9 m apart; and clutter of a known intensity."""
    turn, down = np.meshgrid(
        np.radians(np.arange(0, 360, 1.0)), np.radians([2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0])
    )
    away = 1.8 / np.tan(down.ravel())
    rings = np.column_stack([away * np.cos(turn.ravel()), away * np.sin(turn.ravel()), np.full(away.size, -1.8)])
    rng = np.random.default_rng(SEED)
    clutter = rng.uniform((-50, -50, -1.8), (50, 50, 3.0), (1200, 3))
    held, intensity = on_rings(np.concatenate([rings, clutter]))
    assert held[: len(rings)].all()
    assert held[len(rings) :].mean() < 0.05
    assert intensity == pytest.approx(1200 / (100 * 100 * 4.8), rel=0.1)


def test_a_scan_of_a_known_pose_is_judged_along_its_rings_in_the_world() -> None:
    points = revolution("slope", BEAMS[32]._replace(step=0.4), SEED)
    dirty, pose = with_clutter(points, 0.3, SEED), pose_matrix(400.0, -30.0, 7.0, 1.0)
    kept = survey(transform(dirty, pose), 20, sensor=pose).kept
    assert np.count_nonzero(kept < len(points)) >= 0.99 * len(points)
    assert np.count_nonzero(kept >= len(points)) <= 0.05 * (len(dirty) - len(points))
    blind = survey(transform(dirty, pose), 20).kept
    assert np.count_nonzero(blind >= len(points)) > 0.5 * (len(dirty) - len(points)), "the pose has a say"
