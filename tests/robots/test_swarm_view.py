"""From where flights and formations are looked at, and where things lie in the picture."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import coloured

from espalier.robots.swarm.formation.config import TextShape
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.show.stage import stage
from espalier.robots.swarm.show.view import TOWARDS, is_hidden, view_of_flight, view_of_formation
from espalier.robots.swarm.world.shapes import Box, Pole
from espalier.robots.swarm.world.world import World

VIEWS = ("top", "front", "side", "3d")


def pixel(seen: object, picture: np.ndarray, point: list[float]) -> np.ndarray:
    """Row and column at which a point is drawn."""
    x, y = seen.axis.transData.transform(seen.flat(np.array([point])))[0]
    return np.array([len(picture) - y, x])


def test_texts_are_seen_from_the_front_and_other_flights_from_above() -> None:
    text, grid, ball = (make_formation(one, 40, 2.0) for one in (TextShape(words="AB"), "grid", "sphere"))
    assert view_of_flight(text[None]) == "front"
    assert view_of_flight(grid[None]) == "top"
    assert view_of_flight(ball[None]) == "top"
    assert view_of_flight(np.stack([text, ball / 2.0])) == "front"
    assert view_of_flight(np.stack([grid, 3.0 * grid, text, ball])) == "front", "one that is read is enough"


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ("grid", "top"),
        ("line", "top"),
        ("sphere", "3d"),
        ("cube", "3d"),
        (TextShape(words="A"), "front"),
    ],
)
def test_a_formation_is_seen_from_where_most_is_seen(shape: object, view: str) -> None:
    assert view_of_formation(make_formation(shape, 30, 2.0)) == view


def test_a_formation_across_the_way_is_seen_from_the_side() -> None:
    assert view_of_formation(make_formation("grid", 9, 2.0)[:, [2, 0, 1]]) == "side"
    assert view_of_formation(np.zeros((1, 3))) == "top"


@pytest.mark.parametrize("view", VIEWS)
def test_points_lie_where_the_axes_say(view: str) -> None:
    seen = stage(np.array([0.0, 0, 0]), np.array([30.0, 10, 5]), view, 80)
    draw = seen.still()
    dots = seen.dots(6.0, facecolors="red", linewidths=0.0)
    point = [21.0, 4.0, 3.0]
    dots.set_offsets(seen.flat(np.array([point])))
    picture = draw([dots])
    found = coloured(picture, (255, 0, 0)).mean(0)
    assert found == pytest.approx(pixel(seen, picture, point), abs=1.0)
    assert len(coloured(draw([]), (255, 0, 0))) == 0, "nothing is left of what moved"
    assert len(coloured(picture, (255, 0, 0))) == pytest.approx(np.pi / 4 * (6.0 * 80 / 72) ** 2, rel=0.4)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("high", [(60.0, 20.0, 3.0), (4.0, 50.0, 2.0), (5.0, 5.0, 40.0), (1.0, 1.0, 1.0)])
def test_a_metre_is_a_metre_in_all_directions(view: str, high: tuple[float, float, float]) -> None:
    seen = stage(np.zeros(3), np.array(high), view, 72)
    eye = TOWARDS[view]
    across = np.cross([0.0, 1.0, 0.0] if view == "top" else [0.0, 0.0, 1.0], eye)
    across /= np.linalg.norm(across)
    up = np.cross(eye, across)
    middle = np.array(high) / 2
    seen.still()
    ends = seen.axis.transData.transform(seen.flat(np.stack([middle, middle + across, middle + up])))
    right, upward = ends[1] - ends[0], ends[2] - ends[0]
    assert right == pytest.approx([seen.metre_pt, 0.0], abs=0.01 * seen.metre_pt)
    assert upward == pytest.approx([0.0, seen.metre_pt], abs=0.01 * seen.metre_pt)
    corners = np.array([[x, y, z] for x in (0, high[0]) for y in (0, high[1]) for z in (0, high[2])], float)
    pixels = seen.axis.transData.transform(seen.flat(corners))
    assert (pixels > 0).all()
    assert (pixels < seen.figure.bbox.size).all(), "all of the space is in the picture"


def test_what_stands_between_a_vehicle_and_the_eye_hides_it() -> None:
    world = World.of_solids([Box((0, 0, 0), (1, 1, 4))], (-5, -5, 0), (5, 5, 5), 0.25)
    points = np.array([[0.5, 3, 2], [0.5, -3, 2], [-3, 0.5, 2], [3, 0.5, 2], [0.5, 3, 4.8], [np.nan] * 3, [99, 0, 0]])
    assert is_hidden(points, TOWARDS["front"], world).tolist() == [True] + [False] * 6
    assert is_hidden(points, TOWARDS["side"], world).tolist() == [False, False, True] + [False] * 4
    assert not is_hidden(points, TOWARDS["top"], world).any()
    slanted = np.array([0.5, 0.5, 2.0]) - 3.0 * TOWARDS["3d"]
    assert is_hidden(np.stack([slanted, slanted + np.array([3.0, 0, 0])]), TOWARDS["3d"], world).tolist() == [
        True,
        False,
    ]
    nothing = World.of_solids([], (-5, -5, 0), (5, 5, 5), 0.25)
    assert not is_hidden(points, TOWARDS["front"], nothing).any()


@pytest.mark.parametrize("view", VIEWS)
def test_obstacles_stand_where_they_are(view: str) -> None:
    low, high = np.array([-8.0, -8, 0]), np.array([8.0, 8, 4])
    outside = [Pole(9.0, 9.0, 0.5, 0.0, 3.0), *([Pole(-1.0, 9.2, 0.5, 0.0, 3.0)] if view == "3d" else [])]
    bare, pole = (
        stage(low, high, view, 80, World.of_solids(solids, (-10, -10, 0), (10, 10, 4), 0.1))
        for solids in ([], [Pole(3.0, -2.0, 0.5, 0.0, 3.0), *outside])
    )
    without, with_it = bare.still()([]), pole.still()([])
    changed = np.argwhere((without != with_it).any(-1))
    middle = pixel(pole, with_it, [3.0, -2.0, 1.5])
    assert changed.mean(0) == pytest.approx(middle, abs=4.0)
    wide = 1.0 * pole.metre_pt * 80 / 72
    assert np.ptp(changed[:, 1]) == pytest.approx(wide, abs=5.0), "and what is outside is not drawn"
