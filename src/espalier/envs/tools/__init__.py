"""Tools are typed Python functions: a schema from the signature, checked arguments, faults as observations."""

from espalier.envs.api import Task
from espalier.envs.tools.box import Done, ToolBox
from espalier.envs.tools.env import ToolEnv
from espalier.envs.tools.function import Tool, ToolFaultError
from espalier.envs.tools.tasks import ToolTasks, call

__all__ = ["Done", "Task", "Tool", "ToolBox", "ToolEnv", "ToolFaultError", "ToolTasks", "call"]
