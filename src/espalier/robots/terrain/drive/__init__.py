"""A robot that maps, plans and drives, in simulation."""
