"""Penalties that replace the whole reward: T1 (2501.11651)."""
