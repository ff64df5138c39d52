"""Trajectories of least jerk: optimised among obstacles and neighbours, checked, and braked; and the first guess."""
