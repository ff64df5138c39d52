"""Formations: shapes of slots, by name or from text, images and meshes, and which agent takes which slot."""
