"""The worker of the maths reward: JSON lines in, `right` or `wrong` out. Ends with its standard input."""

from __future__ import annotations

import json
import sys

from math_verify import parse, verify


def right(reference: str, response: str) -> bool:
    """Whether the final answer in `response` equals `reference`; a bare reference is read as LaTeX first."""
    bare = "$" not in reference and "\\boxed" not in reference
    expected = (parse(f"${reference}$") if bare else []) or parse(reference)
    return bool(expected) and bool(verify(expected, parse(response)))


def main() -> None:
    """Answer until there are no more questions."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = right(**json.loads(line))
        except Exception:  # whatever a model wrote that sympy cannot bear is not the answer
            answer = False
        print("right" if answer else "wrong", file=answers, flush=True)


if __name__ == "__main__":
    main()
