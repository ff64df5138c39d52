"""Espalier: learning with structure.

Rooms: `core` (config, runs, reports), `lm` (language models), `engine` (token generation), `envs` and `rewards`
(tasks and their verifiers), `rl` (reinforcement learning). Importing the package imports none of them.
"""

__version__ = "0.1.0.dev0"
