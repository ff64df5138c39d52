"""Serving: a scheduler that holds requests until they can be placed well, a simulator of it, and a gateway."""
