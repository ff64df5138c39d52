"""Layers, one a file, and the encoders that stack them."""
