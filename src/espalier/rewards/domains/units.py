"""Units of physics and chemistry: what a text such as `kg m/s^2` is in SI base units. The table is ours."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

BASE = ("kg", "m", "s", "A", "K", "mol", "cd", "rad")
"""SI's base units, and the radian, so that a turn is no number."""
LONGEST = 60
"""Characters of a unit that is still read."""
_PREFIXED = """
g = 0.001 kg | m = m | s = s | A = A | K = K | mol = mol | cd = cd | rad = rad | Hz = s^-1 | N = kg m s^-2 | J = N m
W = J/s | Pa = N/m^2 | C = A s | V = W/A | Ω = V/A | F = C/V | T = V s/m^2 | Wb = V s | H = V s/A | S = A/V
lm = cd | lx = cd/m^2 | Bq = s^-1 | Gy = J/kg | Sv = J/kg | kat = mol/s | L = 0.001 m^3 | l = L | M = mol/L
eV = 1.602176634e-19 J | cal = 4.184 J | bar = 100000 Pa | u = 1.66053906892e-27 kg | Da = u | Wh = 3600 J
Ah = 3600 C | t = 1000 kg | pc = 3.0856775814913673e16 m
"""
"""Units that take prefixes, each with what it is made of."""
_PLAIN = """
% = 0.01 | ppm = 0.000001 | ppb = 0.000000001 | min = 60 s | h = 3600 s | d = 86400 s | yr = 31557600 s | Å = 1e-10 m
atm = 101325 Pa | torr = 133.32236842105263 Pa | mmHg = 133.322387415 Pa | psi = 6894.757293168361 Pa | ha = 10000 m^2
in = 0.0254 m | ft = 0.3048 m | yd = 0.9144 m | mi = 1609.344 m | lb = 0.45359237 kg | oz = 0.028349523125 kg
mph = mi/h | kn = 1852 m/h | au = 149597870700 m | ly = 9460730472580800 m | cc = 0.000001 m^3 | sr = rad^2
"""
_NAMES = """
gram g | meter m | metre m | second s | sec s | ampere A | amp A | kelvin K | mole mol | candela cd | radian rad
hertz Hz | newton N | joule J | watt W | pascal Pa | coulomb C | volt V | ohm Ω | farad F | tesla T | weber Wb | henry H
siemens S | lumen lm | lux lx | becquerel Bq | gray Gy | sievert Sv | liter L | litre L | molar M | electronvolt eV
calorie cal | tonne t | parsec pc | dalton Da | amu u | percent % | minute min | hour h | hr h | day d | year yr
angstrom Å | atmosphere atm | torr torr | hectare ha | inch in | foot ft | feet ft | yard yd | mile mi | pound lb
lb lb | ounce oz | knot kn | lightyear ly | steradian sr | degree ° | deg ° | revolution rev
"""
_PREFIXES = {"p": -12, "n": -9, "μ": -6, "u": -6, "m": -3, "c": -2, "d": -1, "da": 1, "h": 2, "k": 3, "M": 6, "G": 9}
_PREFIXES |= {"f": -15, "a": -18, "T": 12, "P": 15, "E": 18}
_LONG = {"femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "hecto": 2}
_LONG |= {"kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15}
_SPELLED = (
    (re.compile(r"\\(?:mu|upmu)(?![a-zA-Z])\s*"), "μ"),
    (re.compile(r"\\Omega(?![a-zA-Z])"), "Ω"),
    (re.compile(r"\\(?:AA|r\{A\})(?![a-zA-Z])"), "Å"),
    (re.compile(r"\^?\s*\{?\s*\\(?:circ|degree)(?![a-zA-Z])\s*\}?\s*|º"), "°"),
    (re.compile(r"\^\s*\{\s*([-+]?[0-9])\s*\}"), r"^\1"),
    (re.compile(r"\}\s*\^"), "^"),
    (re.compile(r"[{}$\\~]"), " "),
    (re.compile(r"(?:\bdegrees?|°)\s*(?:celsius|C)\b|\bcelsius\b", re.IGNORECASE), "°C"),
    (re.compile(r"(?:\bdegrees?|°)\s*(?:fahrenheit|F)\b|\bfahrenheit\b", re.IGNORECASE), "°F"),
    (re.compile(r"(?:\bdegrees?|°)\s*(?:kelvins?|K)\b", re.IGNORECASE), "K"),
    (re.compile(r"\bsquare\s+([a-z]+)", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\bcubic\s+([a-z]+)", re.IGNORECASE), r"\1^3"),
    (re.compile(r"\s+squared\b"), "^2"),
    (re.compile(r"\s+cubed\b"), "^3"),
    (re.compile(r"\bper\b|\s*/\s*"), "/"),
    (re.compile(r"\bmm ?Hg\b"), "mmHg"),
    (re.compile(r"\blight[ -]years?\b"), "ly"),
    (re.compile(r"\belectron ?volts?\b"), "eV"),
)
_FACTOR = re.compile(r"\s*(?:([A-Za-zμΩÅ]{1,20}|°[CF]?|%)(?:\^?([-+]?[1-9])(?![0-9]))?)\s*(?:[*.](?=\s*\S))?")
_SCALED = re.compile(r"([0-9.]+(?:e-?[0-9]+)?)?\s*(.*)")


@dataclass(frozen=True, slots=True)
class Unit:
    """value in SI = factor x value + zero. powers: of `BASE`."""

    factor: Fraction
    powers: tuple[int, ...]
    zero: Fraction = Fraction(0)


def unit(text: str) -> Unit | None:
    """The unit that a text is, None where it is none that is known.

    Factors are set off by spaces, `*` or a point. What follows the first `/` divides: J/mol K is J/(mol K). Symbols
    have their case, with SI's prefixes; English names have none. `°C` and `°F` alone are temperatures, which have
    another zero; in a product they are differences.
    """
    if len(text) > LONGEST:
        return None
    for pattern, replacement in _SPELLED:
        text = pattern.sub(replacement, text)
    text = text.strip(" \n\t.")
    if "(" in text and re.fullmatch(r"[^()]*/\s*\([^()/]*\)|\([^()]*\)(?:\s*/[^()]*)?", text):
        text = re.sub(r"[()]", " ", text)
    return _product(text, _known())


def _product(text: str, known: dict[str, Unit]) -> Unit | None:
    above, *below = text.split("/")
    if not text or not all(part.strip() for part in below):
        return None
    factors = [_factors("" if above.strip() == "1" else above, 1), *(_factors(part, -1) for part in below)]
    if any(None in part for part in factors):
        return None
    found = [(_looked_up(word, known), power) for part in factors for word, power in filter(None, part)]
    if len(found) == 1 and found[0][1] == 1:
        return found[0][0]
    factor, powers = Fraction(1), [0] * len(BASE)
    for one, power in found:
        if one is None:
            return None
        factor *= one.factor**power
        powers = [sum_ + power * own for sum_, own in zip(powers, one.powers, strict=True)]
    return Unit(factor, tuple(powers))


def _factors(text: str, sign: int) -> list[tuple[str, int] | None]:
    """Words and powers of a product; None stands for what is neither."""
    found: list[tuple[str, int] | None] = []
    place = 0
    text = text.strip()
    while place < len(text):
        factor = _FACTOR.match(text, place)
        if factor is None:
            return [None]
        found.append((factor[1], sign * int(factor[2] or 1)))
        place = factor.end()
    return found


def _looked_up(word: str, known: dict[str, Unit]) -> Unit | None:
    if word in known:
        return known[word]
    name = word.casefold()
    for ending in ("", "s", "es"):
        if name.endswith(ending) and (found := known.get("~" + name.removesuffix(ending))):
            return found
    return None


@cache
def _known() -> dict[str, Unit]:
    """Every symbol, with its prefixes; every name, after a `~`, with its."""
    known = {name: Unit(Fraction(1), tuple(int(name == base) for base in BASE)) for name in BASE}
    prefixed = _entries(_PREFIXED, known)
    known |= {name: value for name, value in prefixed.items() if name not in known}
    plain = _entries(_PLAIN, known)
    plain["°"] = Unit(Fraction(math.pi) / 180, known["rad"].powers)
    plain["rev"] = Unit(2 * Fraction(math.pi), known["rad"].powers)
    plain["rpm"] = Unit(Fraction(math.pi) / 30, _powers(known["rad"], known["Hz"]))
    plain["°C"] = Unit(Fraction(1), known["K"].powers, Fraction("273.15"))
    plain["°F"] = Unit(Fraction(5, 9), known["K"].powers, Fraction("459.67") * 5 / 9)
    symbols = {**{p + n: _times(u, ten) for n, u in prefixed.items() for p, ten in _PREFIXES.items()}, **known, **plain}
    names = {}
    for entry in " | ".join(_NAMES.strip().splitlines()).split("|"):
        name, symbol = entry.split()
        names["~" + name] = symbols[symbol]
        if symbol in prefixed:
            names |= {f"~{prefix}{name}": _times(symbols[symbol], ten) for prefix, ten in _LONG.items()}
    return symbols | names


def _entries(table: str, known: dict[str, Unit]) -> dict[str, Unit]:
    """The units of a table. The meaning of a unit may use known units and those of earlier entries."""
    found: dict[str, Unit] = {}
    for entry in " | ".join(table.strip().splitlines()).split("|"):
        name, _, meaning = (part.strip() for part in entry.partition("="))
        scale, rest = _SCALED.fullmatch(meaning).groups()  # type: ignore[union-attr]
        one = _product(rest, {**known, **found}) if rest else Unit(Fraction(1), (0,) * len(BASE))
        assert one is not None, entry
        found[name] = Unit(one.factor * Fraction(scale or 1), one.powers)
    return found


def _times(one: Unit, ten: int) -> Unit:
    return Unit(one.factor * Fraction(10) ** ten, one.powers)


def _powers(one: Unit, other: Unit) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one.powers, other.powers, strict=True))
