"""Which files in a folder are those of an earlier report. All others belong to the user."""

from pathlib import Path

from landbridge.errors import LandbridgeError

#: What stands near the beginning of the page, of the Markdown file of every report, and in a model card.
MARKS = {
    "report.html": " · landbridge</title>",
    "report.md": "minus that of the reference, paired by seed",
    "model_card.md": "Fingerprint of configuration and data: ",
}
#: Number of characters that are searched for a mark.
BEGINNING = 20_000
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
            f"{path}: landbridge-report did not write this file, and would replace it; choose another folder with "
            f"--out or move the file"
        )


def is_ours(path: Path, content: str) -> bool:
    """Return whether a file is one of an earlier report, by its beginning."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = file.read(BEGINNING)
    if path.name in MARKS:
        return MARKS[path.name] in found
    first, ours = (text.partition("\n")[0].split(",")[:COLUMNS] for text in (found, content))
    return first == ours
