"""The recipe section `tasks:`."""

from __future__ import annotations

from espalier.envs.catalogue.multiplication import MultiplicationConfig

TasksConfig = list[MultiplicationConfig]
