"""Put text between two marks of a page that someone else writes, such as a table into a page of documentation."""

import os
from pathlib import Path

from landbridge.errors import LandbridgeError

BEGIN, END = "<!-- landbridge-report: begin -->", "<!-- landbridge-report: end -->"


def insert(page: Path, text: str) -> None:
    """Replace what is between the marks of a page. The page is written completely or not at all.

    Args:
        page: a text file with a line `BEGIN` and, below it, a line `END`.
        text: Markdown.

    Raises:
        LandbridgeError: the page cannot be read or written, or does not have each mark once, in this order.
    """
    try:
        before = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LandbridgeError(f"cannot read the page {page}: {error}") from error
    if [before.count(mark) for mark in (BEGIN, END)] != [1, 1] or before.index(BEGIN) > before.index(END):
        raise LandbridgeError(
            f"{page}: the tables have no place; write the lines {BEGIN} and {END} into the page, once"
        )
    draft = page.with_name(f".{page.name}.{os.getpid()}")
    try:
        draft.write_text(
            f"{before[: before.index(BEGIN)]}{BEGIN}\n\n{text}\n\n{before[before.index(END) :]}", encoding="utf-8"
        )
        draft.replace(page)
    except OSError as error:
        raise LandbridgeError(f"cannot write the page {page}: {error.strerror}") from error
