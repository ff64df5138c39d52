"""Selects the chat format of a model, which is recorded next to its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from espalier.core.config import Config
from espalier.core.errors import ConfigError, DataError
from espalier.core.io.files import write_json
from espalier.core.io.text import read_object
from espalier.lm.chat.glm import GLMRenderer
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.chat.protocol import Renderer
from espalier.lm.chat.template import TemplateRenderer
from espalier.lm.tokens import PLAIN_CONTROL, Tokenizer

FILE = "espalier.json"


class ChatFormat(Config):
    """The content of espalier.json in a model's folder."""

    renderer: Literal["plain", "glm", "template"]
    """The format."""
    thinking: bool = False
    """Whether the assistant has a thinking block before its answer."""

    def speak(self, tokenizer: Tokenizer) -> Renderer:
        """The renderer for a tokenizer."""
        match self.renderer:
            case "plain":
                return PlainRenderer(tokenizer)
            case "glm":
                return GLMRenderer(tokenizer, thinking=self.thinking)
            case "template":
                return TemplateRenderer(tokenizer, variables={"enable_thinking": self.thinking})

    def save(self, folder: Path) -> None:
        """Record the format."""
        write_json(folder / FILE, self.model_dump())

    @classmethod
    def of_folder(cls, folder: Path, tokenizer: Tokenizer) -> ChatFormat:
        """The recorded format; else plain if the tokenizer has its markers and no template, else the template.

        Raises DataError if the record is broken.
        """
        file = folder / FILE
        if not file.is_file():
            return cls.of_tokenizer(tokenizer)
        content = read_object(file)
        try:
            return cls.of(**content)
        except ConfigError as error:
            raise DataError(f"{file}: {error}") from error

    @classmethod
    def of_tokenizer(cls, tokenizer: Tokenizer) -> ChatFormat:
        """The format for a tokenizer without a record."""
        plain = tokenizer.template is None and all(name in tokenizer for name in PLAIN_CONTROL)
        return cls(renderer="plain" if plain else "template")
