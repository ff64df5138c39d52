"""On the PYTHONPATH of a server: modules that it imports by name. Nothing else lies here."""
