from fractions import Fraction

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import EnvError
from espalier.rewards.domains.quantity import QuantityConfig, quantity, read
from espalier.rewards.domains.units import unit


def judge(answer: str, reference: str, **settings: object) -> float:
    return quantity(QuantityConfig.model_validate(settings), episode(f"\\boxed{{{answer}}}", reference))


RIGHT = [
    (
        "9.8 m/s^2",
        ["9.8 m/s^2", "9.8 m s^-2", "9.8\\,\\text{m/s}^2", "980 cm/s²", "$9.8\\ \\mathrm{m\\,s^{-2}}$", "9.8"],
    ),
    ("9.8 m/s^2", ["a = 9.8 meters per second squared", "0.0098 km/s/s", "9.8 N/kg", "9.8 m/(s^2)", "9.8m/s2"]),
    ("3.6 km/h", ["1 m/s", "1 meter per second", "3.6 kilometers per hour", "0.001 km/s", "3.6e0 km/h", "60 m/min"]),
    ("1.6e-19 C", ["1.6 \\times 10^{-19}\\text{ C}", "1.6×10⁻¹⁹ C", "1.6*10^-19 coulombs", "0.16 aC", "1.6E-19 A s"]),
    ("25 °C", ["25^\\circ\\text{C}", "298.15 K", "77 °F", "25 degrees Celsius", "25℃", "298.15 kelvin", "25"]),
    ("4.18 J/(g K)", ["4.18 J/g/K", "4.18 \\frac{J}{g \\cdot K}", "4180 J kg^-1 K^-1"]),
    ("0.5 mol/L", ["0.5 M", "500 mM", "0.5 mol L^-1", "0.5 mmol/mL", "500 mol/m^3"]),
    ("101325 Pa", ["1 atm", "101.325 kPa", "760 torr", "1.01325 bar", "760 mmHg", "1013.25 hPa"]),
    ("5 MeV", ["8.01088317e-13 J", "5e6 eV", "5000 keV"]),
    ("2 kΩ", ["2000 ohm", "2 kΩ", "2 V/mA", "2\\,\\mathrm{k\\Omega}", "2 kiloohms", "2 k\u2126"]),
    ("180°", ["180 degrees", "3.14159265 rad", "180^\\circ", "0.5 rev"]),
    ("50%", ["50 %", "50\\%", "50 percent", "50"]),
    ("1 kWh", ["3.6 MJ", "3600 kJ", "1000 Wh"]),
    ("60 rpm", ["6.28318531 rad/s", "1 rev/s"]),
    ("12 apples", ["12 apples", "12 Apples", "12"]),
    ("42", ["42", "42 m", "42%", "x = 42 km/h", "42 apples"]),
    ("2.5 μm", ["2500 nm", "2.5 \\mu m", "2.5 um", "2.5 micrometers", "25000 Å", "2.5 µm"]),
    ("-5 °C", ["-5 °C", "268.15 K", "23 °F"]),
    ("1/2 m", ["50 cm", "0.5 m", "\\frac{1}{2} m", "\\frac{1}{2}\\text{ m}"]),
    ("10 N", ["10 kg m/s^2", "10 kg·m/s²", "10 kg*m*s^{-2}", "10 J/m", "10 newtons"]),
]
WRONG = [
    (
        "9.8 m/s^2",
        ["9.8 m/s", "9.8 cm/s^2", "9.81 m/s^2", "9.8 s", "9.8 bananas", "98 m/s^2", "", "m/s^2", "9.8 m 2 s"],
    ),
    ("3.6 km/h", ["3.6 m/s", "1", "3.6 km", "3.6 km/h or 2 km/h", "3.6 to 4 km/h", "3-4 km/h", "about"]),
    ("25 °C", ["25 K", "25 °F", "298 K", "-25 °C", "25 C"]),
    ("0.5 mol/L", ["0.5 mol", "0.5 m", "0.5 mmol/L", "5 M"]),
    ("50%", ["0.5", "5%", "50 ppm"]),
    ("1 Hz", ["1 rad/s", "1 s", "1 rpm"]),
    ("12 apples", ["12 pears", "13 apples", "12 m"]),
    ("42", ["4.2", "42 or 43", "42x", "forty", "1e999999999", "42^2", "42 million", "4 2/3", "42 apples and 7 pears"]),
    ("5 m", ["5 m 30 cm", "5 m^2", "5 Mm", "5 mm", "5 min", "m 5", "5 ± 1 m", "5 m = 6 m", "(5, 6) m"]),
    ("300 K", ["300 thousand", "300 mK", "300000 K"]),
]


@pytest.mark.parametrize(("reference", "answer"), [(r, answer) for r, answers in RIGHT for answer in answers])
def test_the_same_quantity_in_other_words(reference: str, answer: str):
    assert judge(answer, reference) == 1.0


@pytest.mark.parametrize(("reference", "answer"), [(r, answer) for r, answers in WRONG for answer in answers])
def test_another_quantity(reference: str, answer: str):
    assert judge(answer, reference) == 0.0


def test_options():
    assert judge("9.8", "9.8 m/s^2", unit="required") == 0.0
    assert judge("9.8 m/s^2", "9.8 m/s^2", unit="required") == 1.0
    assert judge("9.8", "9.8", unit="required") == 1.0, "the reference has none"
    assert judge("9.81 m/s^2", "9.8 m/s^2", tolerance=0.01) == 1.0
    assert judge("9.800098 m", "9.8 m") == 1.0, "1e-5 of the reference is its edge"
    assert judge("9.800099 m", "9.8 m") == 0.0
    assert judge("25.01 °C", "25 °C", tolerance=0.0003) == 0.0, "a share of 25, not of 298"
    assert judge("0 m", "0 m") == judge("0 km", "0 m") == 1.0
    assert judge("1e-9 m", "0 m") == 0.0


def test_references_must_be_quantities():
    with pytest.raises(EnvError, match="sums: the reference answer 'fast' is no quantity"):
        judge("9.8", "fast")
    with pytest.raises(EnvError, match="no reference answer for the reward 'quantity'"):
        judge("9.8", "")


PREFIX = {"n": -9, "μ": -6, "m": -3, "c": -2, "": 0, "k": 3, "M": 6, "G": 9}


@given(
    value=st.fractions(min_value=-1000, max_value=1000, max_denominator=64),
    symbol=st.sampled_from(["m", "s", "A", "K", "N", "J", "W", "Pa", "V", "Ω", "F", "T", "Hz", "mol", "L", "eV", "g"]),
    one=st.sampled_from(sorted(PREFIX)),
    other=st.sampled_from(sorted(PREFIX)),
)
def test_prefixes_are_powers_of_ten(value: Fraction, symbol: str, one: str, other: str):
    shift = Fraction(10) ** (PREFIX[one] - PREFIX[other])
    assert judge(f"{value * shift} {other}{symbol}", f"{value} {one}{symbol}") == 1.0
    if value:
        assert judge(f"{value * shift * 2} {other}{symbol}", f"{value} {one}{symbol}") == 0.0
        assert judge(f"{value} {one}{symbol} cd", f"{value} {one}{symbol}") == 0.0


@pytest.mark.parametrize(
    ("text", "factor", "powers"),
    [
        ("kg", 1, {"kg": 1}),
        ("min", 60, {"s": 1}),
        ("cd", 1, {"cd": 1}),
        ("mm", Fraction(1, 1000), {"m": 1}),
        ("Mm", 10**6, {"m": 1}),
        ("cm3", Fraction(1, 10**6), {"m": 3}),
        ("cm^{-3}", 10**6, {"m": -3}),
        ("J/mol K", 1, {"kg": 1, "m": 2, "s": -2, "mol": -1, "K": -1}),
        ("{g/cm}^3", 1000, {"kg": 1, "m": -3}),
        ("N.m", 1, {"kg": 1, "m": 2, "s": -2}),
        ("/s", 1, {"s": -1}),
        ("1/s", 1, {"s": -1}),
        ("%", Fraction(1, 100), {}),
        ("square meters", 1, {"m": 2}),
        ("km^2", 10**6, {"m": 2}),
        ("light years", 9460730472580800, {"m": 1}),
    ],
)
def test_units_by_hand(text: str, factor: Fraction, powers: dict[str, int]):
    found = unit(text)
    assert found is not None
    assert found.factor == factor
    assert dict(zip(["kg", "m", "s", "A", "K", "mol", "cd", "rad"], found.powers, strict=True)) == {
        name: powers.get(name, 0) for name in ["kg", "m", "s", "A", "K", "mol", "cd", "rad"]
    }


@pytest.mark.parametrize("text", ["", "/", "m/", "apples", "m^", "m^99", "(m", "m)", "(m/s)^2", "m//s", "^2", "m s x"])
def test_no_units(text: str):
    assert unit(text) is None


@given(st.text("mskgNJ/^-()*{}\\ 0123456789°%.C", max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str):
    found = read(f"5 {text}")
    assert found is None or isinstance(found[0], Fraction)
    assert judge(text, "5 m") in (0.0, 1.0)
