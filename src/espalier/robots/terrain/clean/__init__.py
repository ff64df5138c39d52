"""Which points show no surface: clutter spread through the air, lone points, and those beside the ground."""
