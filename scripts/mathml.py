r"""A hook of mkdocs: equations, which arithmatex marks as `\(...\)` and `\[...\]`, become MathML in built pages.

So pages need neither a script nor a network to show them, and an equation that cannot be read stops the build.
"""

import html
import re

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

EQUATION = re.compile(r'<(span|div) class="arithmatex">\s*\\[(\[](.*?)\\[)\]]\s*</\1>', re.DOTALL)


def on_page_content(content: str, **_) -> str:
    """Replace the equations of a rendered page."""
    return EQUATION.sub(_mathml, content)


def _mathml(equation: re.Match[str]) -> str:
    # The converter knows these operators by another name than LaTeX.
    tex = html.unescape(equation[2]).replace(r"\arg\m", r"\argm")
    mathml = convert(tex, display="block" if equation[1] == "div" else "inline")
    if unknown := re.search(r"\\\w+", mathml):
        raise PluginError(f"cannot show {unknown[0]} of the equation {tex}")
    return mathml
