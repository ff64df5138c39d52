"""Our seeded environments, one a file."""
