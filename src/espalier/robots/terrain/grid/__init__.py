"""Maps made of square cells that are fixed in the world."""
