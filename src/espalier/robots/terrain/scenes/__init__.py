"""Made terrain with known ground: hills, forest, ruin, road and rooms, and analytic surfaces. All of it is ours."""
