"""Finds the row of a damaged table at which a reader stops. It is used only after polars has refused a file."""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path


def find_fault(path: Path, delimiter: str | None, encoding: str, quote: str | None) -> str | None:
    """Return what is wrong with a file and in which row, counted from 1; the header is row 1.

    Args:
        path: the file.
        delimiter: the character between fields; None: the file has a JSON object on each line, or is binary.
        encoding: of its characters.
        quote: the character around fields; None: no field is in quotes.

    Returns:
        One sentence, or None if nothing is found.
    """
    try:
        "".encode(encoding)
    except LookupError:
        return f"encoding={encoding} is not an encoding that Python knows; valid are utf8, latin-1 and others"
    if delimiter is None:
        return _of_json(path) if path.suffix.lower() in (".jsonl", ".ndjson") else None
    limit = csv.field_size_limit(2**31 - 1)
    try:
        return _of_csv(path, delimiter, encoding, quote)
    finally:
        csv.field_size_limit(limit)


def _of_csv(path: Path, delimiter: str, encoding: str, quote: str | None) -> str | None:
    if quote and len(quote.encode()) > 1:
        return f"quote={quote} must be one character, or null"
    if len(delimiter.encode()) > 1:
        return f"delimiter={delimiter} must be one character"
    raw: list[str] = []
    quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    # Bytes that are no characters become surrogates, which `_of_record` finds.
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        reader = csv.reader(_kept(file, raw), delimiter=delimiter, quotechar=quote, quoting=quoting, strict=True)
        names: list[str] = []
        for row in count(1):
            raw.clear()
            try:
                fields = next(reader)
            except StopIteration:
                return None
            except csv.Error as error:
                never = "is opened and never closed" if "end of data" in str(error) else "closes before the value ends"
                return f"row {row}: a quote ({quote}) {never}; {_unquoted()}"
            names = names or fields
            if fault := _of_record(fields, names, "".join(raw), delimiter, encoding, quote):
                return f"row {row}{fault}"
    return None


def _of_record(
    fields: Sequence[str], names: Sequence[str], whole: str, delimiter: str, encoding: str, quote: str | None
) -> str | None:
    """Return what is wrong with one row, as the rest of a sentence that starts with its number.

    Args:
        fields: of the row.
        names: of the columns.
        whole: the row as it is written.
        delimiter: the character between fields.
        encoding: of the characters.
        quote: the character around fields.
    """
    if bad := next((field for field in fields if _undecoded(field)), None):
        shown = bad.encode(encoding, "surrogateescape").decode("latin-1")
        return (
            f", column {_clean(names[min(fields.index(bad), len(names) - 1)])}: the text is not {encoding} (as "
            f"latin-1: {shown[:40]!r}); save the file as UTF-8, or set encoding, such as encoding=latin-1"
        )
    if len(fields) > len(names):
        return (
            f" has {len(fields)} fields, but the header has {len(names)} columns; put fields that hold '{delimiter}' "
            f"into quotes"
        )
    inside = [field for field in fields if quote and quote in field]
    if quote and inside and quote * 2 not in whole:
        column = names[fields.index(inside[0])]
        return f", column {column}: a quote ({quote}) stands inside the value {inside[0][:40]!r}; {_unquoted()}"
    return None


def _unquoted() -> str:
    return "double the quotes inside a value, or set quote=null if quotes have no meaning in this file"


def _kept(lines: Iterator[str], raw: list[str]) -> Iterator[str]:
    """Yield lines, and collect those of one record."""
    for line in lines:
        raw.append(line)
        yield line


def _undecoded(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def _clean(text: str) -> str:
    return text.encode("utf8", "replace").decode()


def _of_json(path: Path) -> str | None:
    with path.open("rb") as file:
        for row, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
            except UnicodeDecodeError:
                return f"row {row}: the text is not UTF-8; save the file as UTF-8"
            except ValueError as error:
                return f'row {row} is not JSON ({error}); each line must be one object, such as {{"text": "good"}}'
            if not isinstance(content, dict):
                return f'row {row} is not a JSON object; each line must be one, such as {{"text": "good"}}'
    return None
