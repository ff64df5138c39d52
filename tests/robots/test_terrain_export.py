"""Maps as files: what is read back, by us or by the formula of the program the file is for, is what was there."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from espalier.core.errors import ConfigError, DataError, MissingExtraError
from espalier.robots.animate import frame_of, save_animation
from espalier.robots.terrain.export.draw import LOOKS, SUN, draw_layer, draw_route, hillshade, limits
from espalier.robots.terrain.export.gridmap import to_gridmap
from espalier.robots.terrain.export.nav2 import Nav2Config
from espalier.robots.terrain.export.png import PictureConfig, picture
from espalier.robots.terrain.export.save import load_map, save_map
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.plan.config import PlanConfig

NAN = float("nan")


def by_hand() -> TerrainMap:
    """Three rows and two columns, of which no two cells are alike; the cell in the north-east is not known."""
    elevation = np.array([[1, 2], [3, 4], [5, NAN]], np.float32)  # row 0 in the south
    cost = np.array([[0.0, 0.5], [0.79, 0.8], [1.0, NAN]], np.float32)
    observed = np.isfinite(cost).astype(np.float32)
    return TerrainMap(Frame(0.5, -2, 6, 3, 2), {"elevation": elevation, "cost": cost, "observed": observed})


def hilly(rows: int = 40, cols: int = 60) -> TerrainMap:
    """A map of waves with every layer and a hole that is unknown."""
    frame = Frame(0.2, -7, 3, rows, cols)
    x, y = frame.centres().reshape(rows, cols, 2).transpose(2, 0, 1)
    elevation = np.sin(x) + 0.5 * np.cos(y)
    cost = (np.abs(np.cos(x)) * 0.9).astype(np.float32)
    elevation[5:9, 7:20] = cost[5:9, 7:20] = NAN
    layers = {"elevation": elevation, "uncertainty": 0.1 * cost, "slope": cost, "roughness": 0.2 * cost, "cost": cost}
    known = {"observed": np.isfinite(cost).astype(np.float32)}
    return TerrainMap(frame, {name: values.astype(np.float32) for name, values in layers.items()} | known)


def same(one: TerrainMap, other: TerrainMap) -> None:
    assert one.frame == other.frame
    assert list(one.layers) == list(other.layers)
    for name, layer in one.layers.items():
        np.testing.assert_array_equal(layer, other[name])
        assert other[name].dtype == np.float32


@st.composite
def maps(draw: st.DrawFn) -> TerrainMap:
    rows, cols = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    number = st.integers(-10_000, 10_000)
    frame = Frame(draw(st.floats(0.01, 10.0)), draw(number), draw(number), rows, cols)
    names = draw(st.lists(st.sampled_from(["elevation", "cost", "slope", "mine"]), unique=True))
    values = hnp.arrays(np.float32, (rows, cols), elements=st.floats(width=32, allow_infinity=False))
    return TerrainMap(frame, {name: draw(values) for name in [*names, "observed"]})


@pytest.mark.parametrize("suffix", [".npz", ".tif"])
@settings(max_examples=40, deadline=None)
@given(ground=maps())
@example(ground=TerrainMap(Frame(1.0, -3, 0, 3, 2), by_hand().layers))  # GeoTIFF has no way to write this corner
def test_maps_come_back_exactly(ground: TerrainMap, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("maps") / f"map{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert save_map(ground, file) == file
        same(ground, load_map(file))


def test_npz_is_an_archive_of_plain_arrays(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "new" / "map.npz")
    with np.load(tmp_path / "new" / "map.npz", allow_pickle=False) as archive:
        assert archive["elevation"][0].tolist() == [1.0, 2.0]
        assert [archive[f"frame.{name}"].item() for name in ("cell_m", "row", "col")] == [0.5, -2, 6]


def test_other_archives_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"elevation": np.zeros((2, 2))}, "a.npz holds no terrain map: it has no 'frame.cell_m'"),
        ({"elevation": np.array([{}])}, "a.npz cannot be read as NPZ: Object arrays"),
        ({"frame.cell_m": 1, "frame.row": 0, "frame.col": 0, "elevation": np.zeros(3)}, "not of one shape"),
    ]
    for arrays, message in cases:
        np.savez(file, **arrays)
        with pytest.raises(DataError, match=message):
            load_map(file)
    for suffix in (".npz", ".tif"):
        (tmp_path / f"b{suffix}").write_text("no such thing")
        with pytest.raises(DataError, match=f"b{suffix} cannot be read"):
            load_map(tmp_path / f"b{suffix}")
    with pytest.raises(DataError, match="there is no map"):
        load_map(tmp_path / "none.npz")


def test_geotiff_places_every_cell(tmp_path: Path) -> None:
    ground = by_hand()
    save_map(ground, tmp_path / "a.tif", epsg=32632, origin=(400_000.0, 5_000_000.0))
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.descriptions == ("elevation", "cost", "observed")
        assert set(raster.dtypes) == {"float32"}
        assert np.isnan(raster.nodata)
        assert raster.crs.to_epsg() == 32632
        assert tuple(raster.bounds) == (400_003.0, 4_999_999.0, 400_004.0, 5_000_000.5)
        assert raster.read(1).tolist()[1:] == [[3.0, 4.0], [1.0, 2.0]]
        for x, y in ground.frame.centres():
            (found,) = raster.sample([(400_000 + x, 5_000_000 + y)])
            np.testing.assert_array_equal(found, list(ground.at(x, y).values()))
    same(ground, load_map(tmp_path / "a.tif"))


def test_geotiff_around_a_place_on_earth(tmp_path: Path) -> None:
    save_map(by_hand(), tmp_path / "a.tif", origin_lat_lon=(47.5, 8.25))
    with rasterio.open(tmp_path / "a.tif") as raster:
        (east, _), (north, _) = rasterio.warp.transform(raster.crs, "EPSG:4326", [0.0, 1000.0], [0.0, 0.0])
        assert (east, north) == pytest.approx((8.25, 47.5), abs=1e-9)
        (_, east), (_, north) = rasterio.warp.transform(raster.crs, "EPSG:4326", [0.0, 1000.0], [0.0, 0.0])
        metres = 111_320 * np.cos(np.radians(47.5)) * (east - 8.25)
        assert metres == pytest.approx(1000, rel=3e-3)
        assert north == pytest.approx(47.5, abs=1e-4)
    same(by_hand(), load_map(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"epsg": 4326}, "axes of 4326 are degrees"),
        ({"epsg": 999_999}, "no coordinate system 999999"),
        ({"epsg": 32632, "origin_lat_lon": (47.0, 8.0)}, "give it alone"),
        ({"origin_lat_lon": (91.0, 8.0)}, "no place has latitude 91"),
        ({"origen": (1.0, 2.0)}, "unknown key 'origen'; did you mean 'origin'"),
    ],
)
def test_impossible_places_are_told(tmp_path: Path, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        save_map(by_hand(), tmp_path / "a.tif", **chosen)
    assert not list(tmp_path.iterdir())


def write_tif(file: Path, transform: rasterio.Affine) -> None:
    values = np.array([[5, 6, -9999], [1, 2, 3]], np.int16)  # the first row is the northern one
    profile = {"driver": "GTiff", "count": 1, "height": 2, "width": 3, "dtype": "int16", "nodata": -9999}
    with rasterio.open(file, "w", **profile, transform=transform) as raster:
        raster.write(values, 1)


def test_geotiffs_of_others_are_read_where_they_can_be(tmp_path: Path) -> None:
    write_tif(tmp_path / "a.tif", rasterio.Affine(0.5, 0, 100.0, 0, -0.5, 21.0))
    ground = load_map(tmp_path / "a.tif")
    assert ground.frame == Frame(0.5, 40, 200, 2, 3)
    np.testing.assert_array_equal(ground["band_1"], [[1, 2, 3], [5, 6, NAN]])
    np.testing.assert_array_equal(ground.observed, [[True, True, True], [True, True, False]])
    write_tif(tmp_path / "b.tif", rasterio.Affine(0.5, 0, 100.2, 0, -0.5, 21.0))
    with pytest.raises(DataError, match=r"b\.tif: its corner is no multiple of its cells of 0\.5"):
        load_map(tmp_path / "b.tif")
    for number, turned in enumerate([(0.5, 0.1, 0, 0.1, -0.5, 0), (0.5, 0, 0, 0, -0.4, 0), (0.5, 0, 0, 0, 0.5, 0)]):
        write_tif(tmp_path / f"c{number}.tif", rasterio.Affine(*turned))
        with pytest.raises(DataError, match="not squares with north up"):
            load_map(tmp_path / f"c{number}.tif")


def test_formats_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tif3: the suffix '\.tif3' is no format for this; did you mean '\.tiff?'"):
        save_map(by_hand(), tmp_path / "a.tif3")
    with pytest.raises(DataError, match=r"must be a suffix.*there is \.json, \.npz"):
        save_map(by_hand(), tmp_path / "a")
    with pytest.raises(DataError, match=r"a\.json: .*there is \.npz, \.tif, \.tiff"):
        load_map(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="unknown key 'compress'"):
        save_map(by_hand(), tmp_path / "a.npz", compress=True)
    assert save_map(by_hand(), tmp_path / "A.NPZ").is_file()


@pytest.mark.parametrize(("suffix", "module"), [("tif", "rasterio"), ("png", "matplotlib.figure"), ("yaml", "PIL")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'espalier\[robots\]'"):
        save_map(by_hand(), tmp_path / f"a.{suffix}", **({"mode": "scale"} if suffix == "yaml" else {}))


# grid_map


def test_gridmap_by_hand() -> None:
    message = to_gridmap(by_hand(), "odom", 12.25)
    assert message["header"] == {"stamp": {"sec": 12, "nanosec": 250_000_000}, "frame_id": "odom"}
    info = message["info"]
    assert (info["resolution"], info["length_x"], info["length_y"]) == (0.5, 1.0, 1.5)
    assert info["pose"]["position"] == {"x": 3.5, "y": -0.25, "z": 0.0}
    assert info["pose"]["orientation"] == {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
    assert message["layers"] == ["elevation", "cost", "observed"]
    assert message["basic_layers"] == ["elevation"]
    array = message["data"][0]
    assert array["layout"] == {
        "dim": [{"label": "column_index", "size": 3, "stride": 6}, {"label": "row_index", "size": 2, "stride": 2}],
        "data_offset": 0,
    }
    # a matrix of 2 rows along -x and 3 columns along -y from the north-east, column by column
    np.testing.assert_array_equal(array["data"], [NAN, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert (message["outer_start_index"], message["inner_start_index"]) == (0, 0)


def test_gridmap_of_ros_1_has_its_header_inside() -> None:
    message = to_gridmap(by_hand(), stamp=3.5, ros=1)
    assert "header" not in message
    assert message["info"]["header"] == {"stamp": {"secs": 3, "nsecs": 500_000_000}, "frame_id": "map"}


@settings(max_examples=30, deadline=None)
@given(ground=maps())
def test_gridmap_as_its_library_reads_it(ground: TerrainMap) -> None:
    """The position of index (i, j) is that of the first cell less the index times the resolution."""
    message = to_gridmap(ground)
    info, cell = message["info"], ground.frame.cell_m
    for name, array in zip(message["layers"], message["data"], strict=True):
        columns, rows = (dim["size"] for dim in array["layout"]["dim"])
        matrix = np.array(array["data"]).reshape(columns, rows).T
        assert (rows * cell, columns * cell) == pytest.approx((info["length_x"], info["length_y"]))
        for (i, j), value in np.ndenumerate(matrix):
            x = info["pose"]["position"]["x"] + info["length_x"] / 2 - cell / 2 - i * cell
            y = info["pose"]["position"]["y"] + info["length_y"] / 2 - cell / 2 - j * cell
            np.testing.assert_array_equal(np.float32(value), np.float32(ground.at(x, y)[name]))


def test_gridmap_file_is_json_that_all_can_read(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    save_map(by_hand(), tmp_path / "a.json", frame_id="odom", stamp=1.5)
    message = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert message["data"][0]["data"] == [None, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert message["header"]["frame_id"] == "odom"


# Nav2


def served(file: Path) -> tuple[dict[str, Any], np.ndarray]:
    """About the map, and its occupancy as map_server makes it: -1 unknown, 0 to 100; row 0 at the least y."""
    about = yaml.safe_load(file.read_text())
    image = Image.open(file.parent / about["image"])
    pixels = np.asarray(image.convert("RGBA"), np.float64)
    shade = pixels[..., :3].mean(-1) / 255
    occupancy = shade if about["negate"] else 1 - shade
    free, occupied = about["free_thresh"], about["occupied_thresh"]
    assert 0 <= free < occupied <= 1
    between = np.rint((occupancy - free) / (occupied - free) * 100) if about["mode"] == "scale" else -1
    cells = np.where(occupied < occupancy, 100, np.where(occupancy < free, 0, between))
    if about["mode"] == "scale":
        cells = np.where(pixels[..., 3] < 255, -1, cells)
    return about, cells[::-1]


def test_nav2_by_hand(tmp_path: Path) -> None:
    save_map(by_hand(), tmp_path / "a.yaml", lethal_cost=0.8)
    assert (tmp_path / "a.pgm").read_bytes() == b"P5\n2 3\n255\n" + bytes([0, 205, 254, 0, 254, 254])
    about, cells = served(tmp_path / "a.yaml")
    assert about["image"] == "a.pgm"
    assert about["resolution"] == 0.5
    assert about["origin"] == [3.0, -1.0, 0.0]
    assert cells.tolist() == [[0, 0], [0, 100], [100, -1]]
    save_map(by_hand(), tmp_path / "b.yaml", lethal_cost=0.5)
    assert served(tmp_path / "b.yaml")[1].tolist() == [[0, 100], [100, 100], [100, -1]]
    assert Nav2Config().lethal_cost == PlanConfig().lethal_cost


@pytest.mark.parametrize("mode", ["trinary", "scale"])
@settings(max_examples=30, deadline=None)
@given(
    cost=hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32) | st.just(NAN)),
    lethal=st.floats(0.05, 1.0),
)
@example(cost=np.full((3, 4), 0.999, np.float32), lethal=1.0)
def test_nav2_reads_the_classes_written(
    cost: np.ndarray, lethal: float, mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("nav2") / "a.yaml"
    save_map(TerrainMap(Frame(0.1, 3, -5, 3, 4), {"cost": cost}), file, mode=mode, lethal_cost=lethal)
    _, cells = served(file)
    np.testing.assert_array_equal(cells == -1, np.isnan(cost))
    np.testing.assert_array_equal(cells == 100, cost >= lethal)
    easy = cost < lethal
    expected = np.rint(100 * np.minimum(cost[easy].astype(float), 0.99)) if mode == "scale" else np.zeros(easy.sum())
    np.testing.assert_array_equal(cells[easy], expected)


def test_nav2_needs_costs(tmp_path: Path) -> None:
    ground = by_hand()
    with pytest.raises(DataError, match=r"a\.yaml: a Nav2 map is made of costs"):
        save_map(TerrainMap(ground.frame, {"elevation": ground["elevation"]}), tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="'mode' cannot be 'trinar'; did you mean 'trinary'"):
        save_map(ground, tmp_path / "a.yaml", mode="trinar")


# Pictures


def canvas() -> Any:
    figure = Figure(figsize=(3, 3))
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def test_a_picture_has_a_panel_a_layer(tmp_path: Path) -> None:
    ground = hilly()
    figure = picture(ground)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["elevation", "slope", "roughness", "uncertainty", "cost"] + 5 * [""]
    assert [axis.get_subplotspec().num1 for axis in figure.axes[:5]] == [0, 1, 2, 3, 4]
    labels = {axis.get_ylabel() for axis in figure.axes}
    assert {"elevation, m", "slope, m/m", "y, m"} <= labels
    chosen = picture(ground, PictureConfig(layers=("cost", "observed"), title="A hill"))
    assert [axis.get_title() for axis in chosen.axes if axis.get_title()] == ["cost", "observed"]
    assert chosen.get_suptitle() == "A hill"
    ground.save(tmp_path / "a.png", layers=("cost",), dots_per_inch=50)
    assert Image.open(tmp_path / "a.png").format == "PNG"
    with pytest.raises(DataError, match="no layer 'costs'; did you mean 'cost'"):
        ground.save(tmp_path / "b.png", layers=("costs",))
    assert not (tmp_path / "b.png").exists()
    with pytest.raises(DataError, match="no layers to draw"):
        picture(TerrainMap(ground.frame, {}))


def test_a_layer_is_drawn_in_metres_with_its_unknown_cells_left_out() -> None:
    ground, axis = hilly(), canvas()
    image = draw_layer(axis, ground, "cost", colour_bar=False)
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), ~ground.observed)
    left, bottom, right, top = ground.frame.bounds
    assert image.get_extent() == [left, right, bottom, top]
    assert image.origin == "lower"
    assert (image.norm.vmin, image.norm.vmax) == (0.0, 1.0)
    assert axis.patches[0].get_hatch()


def test_north_is_up_and_unknown_is_hatched_in_the_pixels() -> None:
    """Of the map by hand, drawn over the whole figure, the costly cell is in the north-west."""
    figure = Figure(figsize=(2, 3), dpi=50)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    draw_layer(axis, by_hand(), "cost", colour_bar=False)
    axis.set_axis_off()
    pixels = frame_of(figure)
    assert pixels.shape == (150, 100, 3)
    north_west, south_west, unknown = pixels[10:40, 10:40], pixels[110:140, 10:40], pixels[10:40, 60:90]
    assert north_west.std((0, 1)).max() == south_west.std((0, 1)).max() == 0
    assert north_west.mean() > 150 > 20 > south_west.mean()
    assert unknown.min() > 180
    assert unknown.std() > 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (200, 3)])
def test_odd_maps_can_be_drawn(shape: tuple[int, int], tmp_path: Path) -> None:
    nothing = np.full(shape, NAN, np.float32)
    layers = {"elevation": np.zeros(shape, np.float32), "slope": nothing, "mine": nothing + 1, "observed": nothing * 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_map(TerrainMap(Frame(0.1, 0, 0, *shape), layers), tmp_path / "a.png", layers=tuple(layers))
    assert max(Image.open(tmp_path / "a.png").size) < 4000


def test_limits_follow_the_look() -> None:
    values = np.arange(1001.0)
    assert limits(values, LOOKS["slope"]) == (0.0, pytest.approx(990), "max")
    assert limits(values, LOOKS["elevation"]) == (pytest.approx(10), pytest.approx(990), "both")
    assert limits(values, LOOKS["cost"]) == (0.0, 1.0, "max")
    assert limits(np.array([NAN]), LOOKS["elevation"]) == (0.0, 1.0, "neither")


def test_hillshade_is_light_towards_the_north_west() -> None:
    x, y = np.meshgrid(np.arange(6.0), np.arange(5.0))
    level, to_light, away = (hillshade(0.3 * slope, 1.0)[2, 2] for slope in (0 * x, x - y, y - x))
    assert to_light > level > away
    assert level == pytest.approx(SUN[2])
    assert np.linalg.norm(SUN) == pytest.approx(1.0)
    hole = 0 * x
    hole[2:, 3:] = NAN
    np.testing.assert_allclose(hillshade(hole, 1.0), level)


def test_a_route_is_drawn_over_a_map() -> None:
    axis = canvas()
    draw_layer(axis, hilly(), "elevation", colour_bar=False)
    draw_route(axis, [(1.0, 2.0), (2.0, 3.0), (2.5, 3.0)], label="way")
    assert axis.lines[1].get_xydata().tolist() == [[1.0, 2.0], [2.0, 3.0], [2.5, 3.0]]
    assert [line.get_marker() for line in axis.lines] == ["None", "None", "o", "*"]
    with pytest.raises(DataError, match="a route is an array"):
        draw_route(axis, [1.0, 2.0])


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import espalier.robots.terrain.export.save\n"
        "assert not {'matplotlib', 'rasterio', 'PIL', 'scipy'} & set(sys.modules)\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from espalier.robots.terrain.grid.frame import Frame\n"
        "from espalier.robots.terrain.grid.terrain_map import TerrainMap\n"
        "ground = TerrainMap(Frame(1.0, 0, 0, 3, 3), {'cost': np.zeros((3, 3), np.float32)})\n"
        "ground.save(Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Animations


def squares(count: int, side: int = 33) -> Iterator[np.ndarray]:
    """A white square that walks over black, with the number of its frame in the red of the last pixel."""
    for number in range(count):
        frame = np.zeros((side, side + 4, 3), np.uint8)
        frame[10:15, number : number + 5] = 255
        frame[-1, -1, 0] = 10 * number
        yield frame


def test_a_gif_has_every_frame_and_its_time(tmp_path: Path) -> None:
    save_animation(squares(12), tmp_path / "a.gif", fps=30)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["loop"], gif.size) == (12, 0, (37, 33))
        durations = []
        for number, frame in enumerate(squares(12)):
            gif.seek(number)
            np.testing.assert_array_equal(np.asarray(gif.convert("RGB")), frame)
            durations.append(gif.info["duration"])
    assert sum(durations) == pytest.approx(1000 * 12 / 30)
    assert set(durations) == {30, 40}


def test_a_gif_of_one_picture_is_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    sizes = [save_animation([noise] * count, tmp_path / f"{count}.gif").stat().st_size for count in (1, 50)]
    assert sizes[1] - sizes[0] < 50 * 60
    assert Image.open(tmp_path / "50.gif").n_frames == 50  # type: ignore[attr-defined]


def decoded(file: Path) -> np.ndarray:
    from imageio_ffmpeg import read_frames

    reader = read_frames(str(file))
    width, height = next(reader)["source_size"]
    return np.array([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def test_an_mp4_has_every_frame(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    save_animation(squares(9), tmp_path / "a.mp4", fps=5)
    frames = decoded(tmp_path / "a.mp4")
    assert frames.shape == (9, 34, 38, 3)  # sides are made even
    for found, frame in zip(frames, squares(9), strict=True):
        assert np.abs(found[:33, :37].astype(int) - frame).mean() < 4
    assert frames[0, 12, 2].min() > 200 > 50 > frames[8, 12, 2].max()


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_frames_are_taken_one_at_a_time(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("imageio_ffmpeg")
    made: list[weakref.ref[np.ndarray]] = []

    def watched() -> Iterator[np.ndarray]:
        for frame in squares(20):
            made.append(weakref.ref(frame))
            assert sum(each() is not None for each in made) <= 3
            yield frame

    save_animation(watched(), tmp_path / f"a{suffix}")
    assert len(made) == 20


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_broken_film_is_no_film(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("imageio_ffmpeg")
    file = tmp_path / f"a{suffix}"
    file.write_text("as before")

    def broken() -> Iterator[np.ndarray]:
        yield from squares(3)
        raise RuntimeError("the simulation fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        save_animation(broken(), file)
    assert file.read_text() == "as before"
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("frames", "name", "fps", "message"),
    [
        ([], "a.gif", 10, "a.gif: there are no frames"),
        ([], "a.mp4", 10, "a.mp4: there are no frames"),
        ([np.zeros((4, 4, 3))], "a.gif", 10, r"frame 0 is float64 \(4, 4, 3\), not"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], "a.gif", 10, "frame 1 is .*, the first"),
        (squares(1), "a.avi", 10, r"a .gif or a .mp4, not .avi"),
        (squares(1), "a.gif", 0, "give more than 0"),
        (squares(1), "a.gif", 60, "at most 50 in a GIF"),
    ],
)
def test_films_that_cannot_be(tmp_path: Path, frames: Any, name: str, fps: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        save_animation(frames, tmp_path / name, fps)
    assert not list(tmp_path.iterdir())


def test_a_computer_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(DataError, match=r"program ffmpeg: install it, or pip install imageio-ffmpeg, or write .gif"):
        save_animation(squares(2), tmp_path / "a.mp4")


def test_what_ffmpeg_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(DataError, match="no such codec"):
        save_animation(squares(500, side=100), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_a_geotiff_that_was_cut_lies_where_its_coordinates_say(tmp_path: Path) -> None:
    import rasterio
    from rasterio.windows import Window

    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    ground = TerrainMap(Frame(0.5, 4, 10, 6, 8), {"cost": values, "observed": np.ones((6, 8), np.float32)})
    ground.save(tmp_path / "whole.tif")
    window = Window(2, 1, 4, 3)
    with rasterio.open(tmp_path / "whole.tif") as whole:
        profile = {**whole.profile, "width": 4, "height": 3, "transform": whole.window_transform(window)}
        with rasterio.open(tmp_path / "cut.tif", "w", **profile) as cut:
            cut.write(whole.read(window=window))
            cut.descriptions = whole.descriptions
            cut.update_tags(ns="ESPALIER", **whole.tags(ns="ESPALIER"))
    found = load_map(tmp_path / "cut.tif")
    assert found.frame == Frame(0.5, 6, 12, 3, 4)
    np.testing.assert_array_equal(found["cost"], values[2:5, 2:6])
