"""Turns the formulas of a page into MathML when the site is built, so that browsers show them without a download."""

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.+?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """What mkdocs calls with the HTML of each page."""
    return FORMULA.sub(lambda found: mathml(found[3], display=found[2] == "["), content)


def mathml(latex: str, *, display: bool) -> str:
    """One formula, as arithmatex wrote it: LaTeX with HTML's characters escaped."""
    return convert(unescape(latex).strip(), display="block" if display else "inline")
