"""Flights and formations for people: films, stills, tables, files for viewers."""
