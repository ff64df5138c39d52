"""Traversability of the ground from point clouds: elevation, slope, roughness, uncertainty, one cost, and routes.

from espalier.robots import terrain

ground = terrain.build("cloud.pcd")
ground.save("ground.tif")
ground.plan((0, 0), (4, 3)).save("route.csv")
"""

from typing import Any

_PUBLIC = (
    "Cloud",
    "MapperConfig",
    "PlanConfig",
    "PurePursuit",
    "Route",
    "Scan",
    "TerrainMap",
    "TraversabilityMapper",
    "build",
    "load",
    "load_map",
    "plan",
    "scans",
)


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: recipes are read without SciPy and Numba."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from espalier.robots.terrain import api

    return getattr(api, name)
