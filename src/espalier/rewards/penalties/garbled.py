"""Garbled text: signs of broken sampling or decoding, and letters of foreign scripts. The rules are ours; T1
(2501.11651) names the penalty and does not publish its rule.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Container, Iterator
from functools import lru_cache
from string import ascii_letters

import numpy as np

NOISE = 24
"""Letters without a vowel, or signs, in a row that are noise."""
LETTERS, SIGNS = 5, 6
"""Different ones at least: `zzzz` and rows of dots are no noise."""
_CONSONANTS = set(ascii_letters) - set("aeiouyAEIOUY")
_SIGNS = set("!\"#$%&'*+,-./:;=?@\\^_`|~")
_KINDS = bytes(
    ord("c") if chr(code) in _CONSONANTS else ord("s") if chr(code) in _SIGNS else ord(" ") for code in range(256)
)
_RUN = re.compile(rf"c{{{NOISE},}}|s{{{NOISE},}}".encode())
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
)
_MARKS = re.compile("[\u0300-\u036f]{5}")
_NAMED = (
    "ARABIC ARMENIAN BENGALI CYRILLIC DEVANAGARI ETHIOPIC GEORGIAN GUJARATI GURMUKHI HANGUL HEBREW KANNADA KHMER LAO "
    "MALAYALAM MONGOLIAN MYANMAR ORIYA SINHALA TAMIL TELUGU THAI TIBETAN"
)
SCRIPTS = frozenset(_NAMED.split())
"""By the first words of Unicode's names. Chinese characters and kana are one more, `CJK`."""
_CJK = frozenset({"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO"})


def garbled(text: str) -> set[str]:
    """Signs that a text is garbled, none for most texts.

    replacement: the character U+FFFD, which stands for bytes that are no text. control: a control character (Unicode's
    Cc) that is no white space, a surrogate (Cs) or one for private use (Co). letters: 24 ASCII consonants in a row,
    without `y`, of which five differ. signs: 24 ASCII signs in a row, without brackets, of which six differ. marks:
    five combining accents in a row.
    """
    found = set()
    if "\ufffd" in text:
        found.add("replacement")
    if _CONTROL.search(text):
        found.add("control")
    if not text.isascii() and _MARKS.search(text):
        found.add("marks")
    raw = text.encode("utf-8", "surrogatepass")
    for run in _RUN.finditer(raw.translate(_KINDS)):
        letters = run[0].startswith(b"c")
        if len(set(raw[run.start() : run.end()])) >= (LETTERS if letters else SIGNS):
            found.add("letters" if letters else "signs")
    return found


def scripts(text: str) -> set[str]:
    """Scripts of a text's letters, without Latin and Greek, which texts of all languages use for names and formulas."""
    return {found for one in _different(text) if (found := _script(one))}


def has_foreign(text: str, known: Container[str]) -> bool:
    """Whether a letter is of a script that is not among `known`, and neither Latin nor Greek."""
    return any((found := _script(one)) is not None and found not in known for one in _different(text))


def _different(text: str) -> Iterator[str]:
    """The different characters of a text, without ASCII."""
    if not text.isascii():
        found = np.zeros(sys.maxunicode + 1, np.bool_)
        found[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)] = True
        found[:128] = False
        yield from map(chr, np.flatnonzero(found))


@lru_cache(maxsize=2**16)
def _script(character: str) -> str | None:
    first = unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""
    return "CJK" if first in _CJK else first if first in SCRIPTS else None
