"""Which files in a folder are those of an earlier report. All others belong to the user."""

import re
from hashlib import blake2b
from pathlib import Path

from landbridge.errors import LandbridgeError

#: What stands near the beginning of the page and of the Markdown file of every report.
MARKS = {
    "report.html": " · landbridge</title>",
    "report.md": "minus that of the reference, paired by seed",
}
#: Number of characters that are searched for a mark.
BEGINNING = 20_000
#: The last line of a model card. A user completes a card, so one whose text has changed belongs to the user.
SEALED = re.compile(r"(.*\n)<!-- landbridge-report wrote this card; hash of its text: (\w+) -->\n", re.DOTALL)
#: Number of columns that the first line of a CSV file shares with that of an earlier report.
COLUMNS = 3


def refuse_foreign(path: Path, content: str) -> None:
    """Refuse to replace a file that no report has written.

    Args:
        path: the file; it may be missing.
        content: what is to be written.

    Raises:
        LandbridgeError: names the file.
    """
    if path.exists() and not (path.is_file() and is_ours(path, content)):
        raise LandbridgeError(
            f"{path}: landbridge-report did not write this file as it is now, and would replace it; choose another "
            f"folder with --out or move the file"
        )


def marked(card: str) -> str:
    """Return a model card with a last line by which a later one finds whether somebody has changed it."""
    return f"{card}\n<!-- landbridge-report wrote this card; hash of its text: {_hash(card + chr(10))} -->\n"


def is_ours(path: Path, content: str) -> bool:
    """Return whether a file is one of an earlier report, by its beginning; or a model card that nobody has changed."""
    if SEALED.fullmatch(content):
        found = SEALED.fullmatch(path.read_text(encoding="utf-8", errors="replace"))
        return found is not None and found[2] == _hash(found[1])
    with path.open(encoding="utf-8", errors="replace") as file:
        found = file.read(BEGINNING)
    if path.name in MARKS:
        return MARKS[path.name] in found
    first, ours = (text.partition("\n")[0].split(",")[:COLUMNS] for text in (found, content))
    return first == ours


def _hash(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
