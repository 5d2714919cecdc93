r"""A hook of mkdocs that converts equations to MathML in built pages.

Arithmatex marks equations as `\(...\)` and `\[...\]`. With MathML, pages show equations without scripts and without a
network connection. An equation that cannot be converted stops the build.
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
    # The converter uses other names for \arg\max and \arg\min than LaTeX.
    tex = html.unescape(equation[2]).replace(r"\arg\m", r"\argm")
    mathml = convert(tex, display="block" if equation[1] == "div" else "inline")
    if unknown := re.search(r"\\\w+", mathml):
        raise PluginError(f"the equation {tex} contains {unknown[0]}, which cannot be converted to MathML; replace it")
    return mathml
