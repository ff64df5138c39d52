"""Request traces: loaders of public formats, and arrivals that are generated."""
