"""Responses of a megabyte that are made to take long."""

import random
import string
import time
from collections.abc import Callable

SIZE = 1_000_000
LIMIT_S = 0.05
"""Longest judgement."""


def _hostile() -> dict[str, str]:
    noise = random.Random(0)
    letters = "".join(noise.choices(string.printable, k=SIZE))
    ideographs = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(SIZE))
    near = "".join(f"{i:060d}" * 4 + f"{i:060d}"[:50] + "!" for i in range(SIZE // 291))
    return {
        "one letter": "a" * SIZE,
        "spaces": " " * SIZE,
        "words": " ".join(noise.choices(string.ascii_letters, k=SIZE // 2)),
        "noise": letters,
        "ideographs": ideographs,
        "all of Unicode": "".join(chr(noise.randrange(0x20, 0xD800)) for _ in range(SIZE)),
        "nearly loops": near,
        "nearly garbled": ("z" * 24 + "a") * (SIZE // 25),
        "open braces": "{" * SIZE,
        "open boxes": "\\boxed{" * (SIZE // 7),
        "boxes in boxes": "\\boxed{" * (SIZE // 8) + "}" * (SIZE // 8),
        "boxes far apart": "\\boxed{3}" + " " * SIZE + "x\\boxed{4}",
        "a box of it": "\\boxed{" + "9" * SIZE + "}",
        "a box of spaces": "\\boxed{" + " " * SIZE + "}",
        "answers": "<answer>" * (SIZE // 8),
        "tokens": "<|begin_of_box|>" * (SIZE // 16) + "3<|end_of_box|>",
        "thoughts": "<think>" * (SIZE // 7) + "</think>\\boxed{3}",
        "an exponent": "\\boxed{1e999999999}",
        "a power": "\\boxed{10^{999999999}}",
        "a tower": "\\boxed{9^{9^{9^{9^{9}}}}}",
        "fractions": "\\boxed{" + "\\frac{" * 30 + "}" * 30 + "}",
        "marks": "#### 3 " * (SIZE // 7),
        "units": "\\boxed{3 " + "m^9" * 20 + "}",
        "surrogates": "\\boxed{3\ud800} " * (SIZE // 13),
    }


HOSTILE = _hostile()


def seconds(judge: Callable[[], object]) -> float:
    """CPU time of a call: the least of three."""

    def once() -> float:
        started = time.process_time()
        judge()
        return time.process_time() - started

    return min(once() for _ in range(3))
