"""Worlds from files: point clouds and floor plans."""

from __future__ import annotations

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.pictures import read_picture
from espalier.robots.swarm.world.config import CloudConfig, FloorPlanConfig
from espalier.robots.swarm.world.esdf import Floats
from espalier.robots.swarm.world.world import MOST_CELLS, World
from espalier.robots.terrain.cloud.load import load_cloud


def world_of_cloud(config: CloudConfig) -> World:
    """Cells that hold points are occupied. Raises DataError where the file cannot be read or leaves no obstacle."""
    points = load_cloud(config.file).points
    if config.ground_m is not None:
        points = points[points[:, 2] >= config.ground_m]
    if not len(points):
        raise DataError(f"{config.file}: no point lies above ground_m = {config.ground_m}; is z up, in metres?")
    low, high = points.min(0) - config.margin_m, points.max(0) + config.margin_m
    shape = np.maximum(np.ceil((high - low) / config.cell_m).astype(int) + 1, 2)
    if np.prod(shape, dtype=float) > MOST_CELLS:
        raise DataError(f"{config.file} spans {tuple(shape.tolist())} cells of {config.cell_m:g} m: make cell_m larger")
    cells = np.ravel_multi_index(((points - low) / config.cell_m).astype(int).T, tuple(shape))
    counts = np.bincount(cells, minlength=int(shape.prod())).reshape(shape)
    occupancy = counts >= config.least_points
    if not occupancy.any():
        raise DataError(f"{config.file}: no cell has {config.least_points} points; make least_points smaller")
    return World.of_occupancy(occupancy, low, config.cell_m)


def world_of_plan(config: FloorPlanConfig) -> World:
    """Dark pixels stand as walls. Raises DataError where the picture cannot be read."""
    shades = _shades(config)
    layers = max(round(config.height_m / config.pixel_m), 2)
    flat = (shades < config.dark)[::-1].T
    if flat.size * layers > MOST_CELLS:
        raise DataError(f"{config.file}: {flat.shape} pixels by {layers} layers are too many; make the picture smaller")
    occupancy = np.repeat(flat[:, :, None], layers, axis=2)
    return World.of_occupancy(occupancy, np.zeros(3), config.pixel_m)


def _shades(config: FloorPlanConfig) -> Floats:
    """(rows, cols): 0 black to 1 white, the upper row first."""
    colours = read_picture(config.file, "RGBA")
    from PIL import Image

    white = Image.new("RGBA", colours.size, "white")
    white.alpha_composite(colours)
    return np.asarray(white.convert("L"), np.float64) / 255.0
