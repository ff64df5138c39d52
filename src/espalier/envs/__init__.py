"""Tasks and environments: the protocol, a seeded catalogue, adapters to reasoning-gym and JSON-lines files."""
