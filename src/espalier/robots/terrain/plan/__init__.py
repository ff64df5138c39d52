"""Routes over a traversability map: obstacles, search on cells or with a turning radius, smoothing, following."""
