"""Data and models that can be fetched: what they are, where they lie, how they come there. Imports no torch."""
