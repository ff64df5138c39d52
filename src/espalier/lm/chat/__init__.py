"""Conversations as token ids, and sampled ids as messages."""

from espalier.lm.chat.glm import GLMRenderer
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.chat.protocol import Renderer
from espalier.lm.chat.template import TemplateRenderer

__all__ = ["GLMRenderer", "PlainRenderer", "Renderer", "TemplateRenderer"]
