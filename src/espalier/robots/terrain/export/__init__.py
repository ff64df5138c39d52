"""A terrain map as files for other programs: GeoTIFF, NPZ, pictures, grid_map, Nav2, animations."""
