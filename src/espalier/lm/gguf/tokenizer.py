"""The tokenizer of a GGUF file: byte-level BPE, which its metadata call gpt2."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from espalier.core.errors import ConfigError, DataError
from espalier.lm.gguf.container import Container
from espalier.lm.tokens import Tokenizer

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
"""Types of tokens that no merge yields; the first two have no text. Others are 1 normal, 5 unused and 6 byte."""

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS: Mapping[str, str | None] = MappingProxyType(
    {
        **dict.fromkeys(("gpt-2", "phi-2", "olmo", "smollm", "starcoder", "refact", "command-r", "codeshell"), None),
        **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"), LLAMA3),
        **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), QWEN2),
        "tekken": TEKKEN,
    }
)
"""Pre-tokenizer patterns by tokenizer.ggml.pre; None for GPT-2's own."""
DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell"})
"""Pre-tokenizers that split numbers into single digits."""
WHOLE_WORDS = frozenset({"llama-bpe", "llama3", "llama-v3", "tekken"})
"""Pre-tokenizers with which a word that is a token is used directly, whatever its merges."""
COMPOSED = frozenset({"qwen2", "deepseek-r1-qwen"})
"""Pre-tokenizers that normalise text to Unicode's composed form (NFC), as the original tokenizers do."""
NAMED = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}


def read_tokenizer(container: Container) -> Tokenizer:
    """The tokenizer, with the chat template if the file has one.

    Raises ConfigError for an unsupported kind, DataError if tokens and merges do not fit together.
    """
    path = container.path
    kind = container.need("tokenizer.ggml.model", str)
    if kind != "gpt2":
        raise ConfigError(f"{path}: tokenizer.ggml.model {kind!r} is not read, only 'gpt2' (byte-level BPE)")
    split = container.need("tokenizer.ggml.pre", str)
    if split not in SPLITS:
        raise ConfigError(f"{path}: tokenizer.ggml.pre {split!r} is not one of {', '.join(SPLITS)}")
    names = container.need("tokenizer.ggml.tokens", list)
    vocabulary = {name: i for i, name in enumerate(names)}
    if len(vocabulary) != len(names):
        twice = next(name for i, name in enumerate(names) if vocabulary[name] != i)
        raise DataError(f"{path}: tokenizer.ggml.tokens: {twice!r} occurs twice")
    backend = _backend(container, vocabulary, split)
    backend.add_tokens(_added(container, names))
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config |= {name: token for name, key in NAMED.items() if (token := _token(container, names, key)) is not None}
    if "eos_token" not in config:
        raise DataError(f"{path}: the metadata have no tokenizer.ggml.eos_token_id")
    return Tokenizer(backend, config, container.get("tokenizer.chat_template", str))


def end_tokens(container: Container) -> list[int]:
    """The ids that end a text or a turn."""
    found = [container.get(f"tokenizer.ggml.{key}_token_id", int) for key in ("eos", "eot", "eom")]
    return list(dict.fromkeys(token for token in found if token is not None))


def _backend(container: Container, vocabulary: dict[str, int], split: str) -> tokenizers.Tokenizer:
    merges = container.need("tokenizer.ggml.merges", list)
    pairs = [(left, right) for left, blank, right in (merge.partition(" ") for merge in merges) if blank]
    try:
        if len(pairs) != len(merges):
            raise ValueError("a merge is not two texts separated by a space")
        model = models.BPE(vocabulary, pairs, ignore_merges=split in WHOLE_WORDS)
    except Exception as error:  # the library raises bare Exception for a merge of unknown tokens
        raise DataError(f"{container.path}: tokenizer.ggml.merges do not fit the tokens ({error})") from error
    backend = tokenizers.Tokenizer(model)
    pattern = SPLITS[split]
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    steps: list[Any] = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern is not None else []
    if split in DIGITS:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_of]) if steps else bytes_of
    if split in COMPOSED:
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    return backend


def _added(container: Container, names: list[str]) -> list[AddedToken]:
    """The tokens that stand in a text by their names."""
    kinds: object = container.metadata.get("tokenizer.ggml.token_type")
    if kinds is None:
        return []
    if not isinstance(kinds, np.ndarray) or kinds.dtype.kind not in "iu" or len(kinds) != len(names):
        raise DataError(f"{container.path}: tokenizer.ggml.token_type is not a list of {len(names)} whole numbers")
    chosen = np.flatnonzero((kinds == CONTROL) | (kinds == USER_DEFINED) | (kinds == UNKNOWN)).tolist()
    if any(not names[i] for i in chosen):
        raise DataError(f"{container.path}: tokenizer.ggml.tokens: a control token has no name")
    return [AddedToken(names[i], special=int(kinds[i]) != USER_DEFINED, normalized=False) for i in chosen]


def _token(container: Container, names: list[str], key: str) -> str | None:
    token = container.get(f"tokenizer.ggml.{key}_token_id", int)
    if token is None:
        return None
    if not 0 <= token < len(names):
        raise DataError(f"{container.path}: tokenizer.ggml.{key}_token_id: {token} is not one of {len(names)} tokens")
    return names[token]
