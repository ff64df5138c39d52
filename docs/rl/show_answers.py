"""Judge what people and models write with rewards for answers, and print the tables of the rewards' page."""

import asyncio

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rewards.domains.chart import ChartConfig
from espalier.rewards.domains.choice import ChoiceConfig
from espalier.rewards.domains.count import CountConfig
from espalier.rewards.domains.quantity import QuantityConfig
from espalier.rewards.mathematics.maths import Maths, MathsConfig
from espalier.rewards.mathematics.numeric import Numeric, NumericConfig
from espalier.rewards.rubric import build

NUMERIC = [
    ("minus signs of Unicode", "-5", ["−5", "minus 5"]),
    ("exponents", "1000", ["1e3", "1.0×10^3", "10³", "1e99999"]),
    ("thousands", "1000", ["1,000", "1 000", "1'000", "1{,}000", "1,00"]),
    ("decimal commas", "1.2", ["1,2", "1.200", "1,200"]),
    ("both", "1234.5", ["1,234.5", "1.234,5", "12,34.5"]),
    ("money", "5", ["€5", "US$5", "5 dollars", "$5-$6"]),
    ("per cent does not count", "50", ["50%", "50 percent", "0.5"]),
    ("fractions", "0.75", ["3/4", "\\frac{3}{4}", "¾", "3/4/1"]),
    ("mixed numbers", "1.5", ["1 1/2", "1\\frac{1}{2}", "1½"]),
    ("words of size", "2000", ["2k", "2 thousand", "2"]),
    ("units", "72", ["72 km/h", "72\\text{ km}", "72^2", "72x"]),
    ("equations", "72", ["x = 72", "6*12 = 72", "72 = 73", "2x = 72"]),
    ("emphasis and mathematics", "72", ["**72**", "\\(72\\)", "$72$", "`72`"]),
    ("remarks", "5", ["5 (not 6)", "5, not 6", "about 5", "not 5"]),
    ("ranges", "5", ["5-6", "5 to 6", "5 ± 1", "between 5 and 6"]),
    ("lists", "5", ["5, 6", "5 or 6", "(5, 6)", "[5, 6]"]),
    ("times, dates, versions", "2", ["2:30", "2024-01-05", "2.0.1"]),
    ("tiny numbers", "1e-10", ["0.0000000001", "2e-10", "0"]),
]
MATHS = [
    ("a corrected box", "3", ["\\boxed{4}. No: \\boxed{3}", "\\boxed{3}. No: \\boxed{4}"]),
    ("boxes side by side", "3, 4", ["\\boxed{3} and \\boxed{4}", "\\boxed{4}"]),
    ("lists that hold the answer", "3", ["\\boxed{3, 4}", "\\boxed{3 \\text{ or } 4}"]),
    ("decimals for what has none", "1/3", ["\\boxed{0.333333}", "\\boxed{0.3333}"]),
    ("tiny numbers", "\\frac{1}{2^{99}}", ["\\boxed{2^{-99}}", "\\boxed{2^{-98}}"]),
    ("decimals that differ", "0.1234567", ["\\boxed{0.1234567}", "\\boxed{0.1234569}"]),
    ("per cent, either way", "50\\%", ["\\boxed{0.5}", "\\boxed{50}", "\\boxed{5}"]),
    ("names and units", "5", ["\\boxed{x = 5}", "\\boxed{5\\text{ cm}}"]),
    ("sets and pairs", "(1, 2)", ["\\boxed{(1, 2)}", "\\boxed{(2, 1)}"]),
    ("towers, unless the same", "9^{9^{9^9}}", ["\\boxed{9^{9^{9^9}}}", "\\boxed{9^{9^{9^8}}}"]),
]
DOMAINS = [
    ("quantity", QuantityConfig(), "9.8 m/s^2", ["980 cm/s²", "9.8", "9.8 m/s", "9.81 m/s^2"]),
    ("", QuantityConfig(), "25 °C", ["298.15 K", "77 °F", "25^\\circ\\text{C}", "25 K"]),
    ("", QuantityConfig(), "1.6e-19 C", ["1.6 \\times 10^{-19} C", "0.16 aC", "1.6e-16 C"]),
    ("chart, a year", ChartConfig(), "1999", ["1999", "2000"]),
    ("chart, another number", ChartConfig(), "40", ["41", "39.2 million tonnes", "42"]),
    ("chart, a name", ChartConfig(), "New Zealand", ["new zealand", "Zealand"]),
    ("count", CountConfig(), "12", ["12 apples", "twelve", "12.0", "13", "12 or 13"]),
    ("choice: cat, dog, 12", ChoiceConfig(), "B", ["B", "(b) a dog", "dog", "B) a cat", "A or B"]),
    ("the same, to fill in", ChoiceConfig(fill_in=True), "B", ["dog", "B", "B) dog"]),
]


def episode(response: str, reference: str) -> Episode:
    """A finished answer."""
    data = {"answer": reference} | ({"choices": ["cat", "dog", "12"]} if reference == "B" else {})
    return Episode(Task("sums", "demo", data), [Message.user("?"), Message.assistant(response)])


async def main() -> None:
    """The three tables: the kind, the reference, what is right, what is wrong."""
    numeric, maths = Numeric(NumericConfig()), Maths(MathsConfig(seconds=20, workers=1))
    for kind, reference, answers in NUMERIC:
        show(kind, reference, {text: numeric(episode(f"#### {text}", reference)) for text in answers})
    print()
    for kind, reference, answers in MATHS:
        show(kind, reference, {text: await maths(episode(text, reference)) for text in answers})
    maths.close()
    print()
    for kind, config, reference, answers in DOMAINS:
        judge = build(config)
        show(kind, reference, {text: judge(episode(f"\\boxed{{{text}}}", reference)) for text in answers})


def show(kind: str, reference: str, verdicts: dict[str, float]) -> None:
    """One row."""
    right, wrong = ("  ".join(text for text, value in verdicts.items() if value == wanted) for wanted in (1.0, 0.0))
    print(f"{kind:27} {reference:18} right: {right:48} wrong: {wrong}".rstrip(" :").removesuffix("wrong").rstrip())


asyncio.run(main())
