"""Numbers as people and models write them, read exactly, or refused where they could mean two things."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

LONGEST = 1000
"""Digits of a number that is still read."""
_LARGEST_EXPONENT = 1000

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u2019\u02bc", "'"),
        **dict.fromkeys("\u2044\u2215", "/"),
        **dict.fromkeys("\u2217\u00b7\u22c5", "*"),
    }
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_REWRITTEN = (
    (re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+"), lambda m: f"^{{{m[0].translate(_RAISED)}}}"),
    (re.compile("(?<=[0-9])(?=[¼½¾⅐-⅞])"), lambda m: " "),
    (re.compile("[¼½¾⅐-⅞]"), lambda m: unicodedata.normalize("NFKC", m[0])),
)
_SPELLED = (
    (re.compile(r"\\[dtc]?frac\s*\{\s*([^{}]*?)\s*\}\s*\{\s*([^{}]*?)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*([0-9])\s*([0-9])"), r" \1/\2"),
    (re.compile(r"\\(?:text(?:bf|rm|it)?|math(?:rm|bf|it)|mbox|boxed|fbox)\s*\{"), "{"),
    (re.compile(r"\{,\}|(?<=[0-9]),\\[,!;: ](?=[0-9])"), ","),
    (re.compile(r"(?<=[0-9])\\[,;:! ](?=[0-9])"), " "),
    (re.compile(r"\\[,;:! ]|\\q?quad\b|\\displaystyle\b|\\(?:left|right)\b"), " "),
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\(?:approx|sim)\b"), "~"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"(?<=[A-Za-z])\s*(?:≈|~)"), "="),
    (re.compile(r"(?<![\w)}])\*\*|\*\*(?![\w({-])"), ""),  # bold, not a power
    (re.compile(r"__|`"), ""),
)

_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"  # 1,234.5
    r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9])(?:\.[0-9]+)?"  # 12,34,567
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+"  # 1.234,5
    r"|[0-9]{1,3}(?:\.[0-9]{3}){2,}(?![0-9])"  # 1.234.567
    r"|[0-9]{1,3}(?:(?P<gap>[ '_])[0-9]{3})(?:(?P=gap)[0-9]{3})*(?![0-9])(?:[.,][0-9]+)?"  # 1 234,5
    r"|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
)
_MONEY = r"(?:(?:US|A|C|HK)?\\?\$|[€£¥₹₽₩]|(?:USD|EUR|GBP|Rs\.?)\s)\s*"
_SIGN = r"(?:[-+]|(?:minus|negative)\s)\s*"
_SIZED = (
    rf"(?P<sign>{_SIGN})?(?P<money>{_MONEY})?(?P<inner>{_SIGN})?"
    rf"(?:10\s*(?:\^|\*\*)\s*\{{?\s*(?P<ten>[-+]?[0-9]{{1,4}})(?![0-9])\s*\}}?"
    rf"|(?:(?P<whole>[0-9]+)\s+)?(?P<over>[0-9]+)\s*/\s*(?P<under>[0-9]+)(?![0-9.,]*[0-9])"
    rf"|(?P<digits>{_DIGITS})"
    r"(?:[eE](?P<e>[-+]?[0-9]{1,4})(?![0-9])"
    r"|\s*[*×x]\s*10\s*(?:\^|\*\*)\s*\{?\s*(?P<power>[-+]?[0-9]{1,4})(?![0-9])\s*\}?)?"
    rf"(?:\s*/\s*(?P<divisor>{_DIGITS.replace('gap', 'gap2')}))?)"
)
_NUMBER = re.compile(
    _SIZED + r"(?:(?P<letter>[kKMB])\b"
    r"|\s*(?P<scale>[kK]|(?i:hundred|thousand|lakh|crore|m(?:illio|l)?n|b(?:illio)?n|trillion))\b)?"
)
_BARE = re.compile(_SIZED)
"""Without a word of size."""
_SCALES = {"hundred": 2, "thousand": 3, "k": 3, "lakh": 5, "m": 6, "mn": 6, "mln": 6, "million": 6, "crore": 7}
_SCALES |= {"b": 9, "bn": 9, "billion": 9, "trillion": 12}
_DRESS = re.compile(
    r"(?:[\s:*_{~≈'\"\u201c]|\\[(\[]|\\?\$(?=\s*[-+\\$({]|[^$\n]*\$)|(?:about|approximately|roughly|exactly|only|just)\s)*",
    re.IGNORECASE,
)
"""What may stand before a number: markdown, LaTeX, an opening of mathematics, words that change nothing."""
_OPEN = re.compile(r"\\?[(\[]|\\\{")
_CLOSE = re.compile(r"\s*(?:%|[A-Za-z°€£\s]*)\s*(?:\\?[)\]]|\\\})")
_MORE = "more|less|fewer|greater|higher|lower|zero|one|two|three|four|five|six|seven|eight|nine|ten"
_GOES_ON = re.compile(
    r"\^|\*\*|[xX][0-9]|[eE][-+]?[0-9]|[xyz](?!\w)|[.,:][0-9]|\s*\.\.+\s*[0-9]"  # 2^3, 0x12, 2y, 1.8.1, 2:30, 5...6
    r"|\s*(?:[-+*/×÷:;|&±,x]|\\pm|\+/-|to|or|and|and/or|plus|minus|times|vs\.?|through|until|%?\s*-)"
    r"\s*(?:,?\s*(?:or|and|to)\s+)?(?:[-+(~]|\\?\$|€|£)*\s*[0-9.\\]*[0-9]"
    r"|\s*\(\s*(?:or|and|to)\s[^)]*[0-9]|\s*(?:±|\\pm|\+/-)|\s+[0-9]|\s*,?\s*(?:or|to)\s+(?:minus\s+|-)?[0-9]"
    r"|(?-i: ?[nx]|[abefijqruvw])(?!\w)|\s*[-+*/]\s*(?-i:[nxyz])(?!\w)"  # 2n, 2i, 2 + x
    r"|(?:\s*[-+*/])?\s*(?:\\(?:sqrt|pi|theta|ln|log)(?![a-z])|[π√∞]|sqrt\b|pi\b)"
    r"|\(\s*-?[0-9]+\s*\)|\s+(?:squared|cubed|hundred|thousand|million|billion|trillion)\b"
    rf"|\s*,?\s*or\s+(?:{_MORE})\b|\s*(?:[≤≥]|[<>]=?\s*(?:[nxyz](?!\w)|[0-9])|\\(?:leq?|geq?|lt|gt)(?![a-z]))"
    r"|\s*[A-Za-z]+\s*(?:-|\bto\b|\bor\b)\s*\\?[$€£]?[0-9]",  # 5 kg to 6 kg
    re.IGNORECASE,
)
"""What shows that the number was a part of something else: an expression, a list, a range, a time, a date."""
_AFTER = re.compile(r"\s*(?:%|[€£¥₹]|\\?\$)?\s*[.}*)\]\s$\\'\"]*")


_MULTIPLE = re.compile(r"[0-9)]\s*[A-Za-z]\s*$")
"""The left side of `2x = 144`."""
_LISTED = re.compile(r"\b(?:or|and)\b|[,;]")
_GLUED = re.compile(r"[\w.,:/^*]$")


class UnclearError(Exception):
    """There is a number, but it is a part of something else."""


def number(text: str) -> Fraction | None:
    """The exact value of a text that is one number and nothing else, None where it is not."""
    plain = rewritten(text).strip()
    try:
        found = leading(plain)
    except UnclearError:
        return None
    if found is None:
        return None
    value, end = found
    return value if _AFTER.fullmatch(plain, end) else None


def final(text: str) -> Fraction | None:
    """The value that a `rewritten` text announces at its beginning, such as `x = 72 km.`; None where it announces none.

    Of an equation the side counts that is a number. Raises UnclearError where the sides are different numbers, or the
    number is a part of a list, a range or an expression.
    """
    line = text.lstrip(": \t\n*").partition("\n")[0]
    sides = re.split(r"(?<![<>!=])=(?!=)", line)
    if len(sides) == 1:
        found = leading(line)
        return None if found is None else found[0]
    if _MULTIPLE.search(sides[-2]) or any(_LISTED.search(side) for side in sides[1:-1]):
        raise UnclearError
    first, end = _side(sides[0], whole=True), _side(sides[-1], whole=False)
    if first is not None and end is not None and first != end:
        raise UnclearError
    return first if first is not None else end


def last(text: str) -> Fraction | None:
    """The last number of a `rewritten` text, None where it has none. Raises UnclearError as `final` does."""
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return None
    found = numbers[-1]
    before = text[: found.start()]
    operator = found["sign"] and before.rstrip()[-1:].isdigit()
    if operator or _GLUED.search(before) or _GOES_ON.match(text, found.end()):
        raise UnclearError
    return _value(found)


def measure(text: str) -> tuple[Fraction, str, bool] | None:
    """The number at the beginning of a `rewritten` text, without words of size; the text after it; and whether that
    shows, unless it is a unit, that the number was a part of something else. None where there is none, or it is huge.
    """
    found = _BARE.match(text, _DRESS.match(text).end())  # type: ignore[union-attr]
    value = _value(found) if found else None
    if found is None or value is None:
        return None
    return value, text[found.end() :], _GOES_ON.match(text, found.end()) is not None


def rewritten(text: str) -> str:
    """A text in which LaTeX, markdown and Unicode spell numbers as ASCII does."""
    for pattern, replace in _REWRITTEN:
        text = pattern.sub(replace, text)
    text = unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN)
    for pattern, replacement in _SPELLED:
        text = pattern.sub(replacement, text)
    return text


def leading(text: str) -> tuple[Fraction, int] | None:
    """The number at the beginning of a `rewritten` text, and where it ends; None where there is none, or it is huge.

    Raises UnclearError where the number goes on as something else.
    """
    start = _DRESS.match(text).end()  # type: ignore[union-attr]
    opened = _OPEN.match(text, start)
    if opened:
        start = _DRESS.match(text, opened.end()).end()  # type: ignore[union-attr]
    found = _NUMBER.match(text, start)
    if found is None:
        return None
    end = found.end()
    if _GOES_ON.match(text, end):
        raise UnclearError
    if opened and (not _CLOSE.match(text, end) or "," in (found["digits"] or "")):
        raise UnclearError
    value = _value(found)
    return None if value is None else (value, end)


def _side(text: str, *, whole: bool) -> Fraction | None:
    try:
        found = leading(text)
    except UnclearError:
        return None
    if found is None or (whole and not _AFTER.fullmatch(text, found[1])):
        return None
    return found[0]


def _value(found: re.Match[str]) -> Fraction | None:
    if len(found[0]) > LONGEST or (found["sign"] and found["inner"]):
        return None
    exponent = int(found["e"] or found["power"] or found["ten"] or 0)
    if abs(exponent) > _LARGEST_EXPONENT:
        return None
    try:
        if found["ten"]:
            size = Fraction(1)
        elif found["over"]:
            if found["whole"] and int(found["over"]) >= int(found["under"]):
                return None
            size = int(found["whole"] or 0) + Fraction(int(found["over"]), int(found["under"]))
        else:
            size = Fraction(_decimal(found["digits"])) / Fraction(_decimal(found["divisor"] or "1"))
    except ZeroDivisionError:
        return None
    sign = (found["sign"] or found["inner"] or "+").strip()
    word = found.groupdict().get("letter") or found.groupdict().get("scale")
    scale = _SCALES[word.lower()] if word else 0
    return size * Fraction(10) ** (exponent + scale) * (1 if sign == "+" else -1)


def _decimal(digits: str) -> str:
    """Digits with a point at most: which comma or point separates thousands, and which the decimals."""
    digits = re.sub("[ '_]", "", digits)
    if re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}", digits):
        return digits.replace(".", "").replace(",", ".")
    thousands = re.match(r"[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9])", digits)
    if digits.count(",") == 1 and not thousands:
        return digits.replace(",", ".")
    return digits.replace(",", "")
