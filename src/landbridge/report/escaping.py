"""Names of users in HTML and Markdown: they are shown as they are, and do nothing.

A name may come from a stranger's folder or file. `svg.element` does the same for plots, and
`csv_text.in_csv` for CSV files.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup


def as_html(template: Path) -> Template:
    """Return a template in which every value is escaped, except for `Markup`."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template.read_text())


def as_markdown(template: Path) -> Template:
    """Return a template in which every value is `in_markdown`. The filter `cell` is for values in rows of a table."""
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=in_markdown
    )
    environment.filters["cell"] = in_cell
    return environment.from_string(template.read_text())


def in_markdown(value: Any) -> Any:
    """Write a value for Markdown: it is no HTML, no link, no picture, and one line. `Markup` stays as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return " ".join(value.splitlines()).replace("<", "&lt;").replace("](", "]\\(")


def in_cell(value: str) -> str:
    """Write a value for a row of a Markdown table."""
    return in_markdown(value).replace("|", "\\|")
