"""Helpers for the tests of advice."""

from landbridge.record import Record
from landbridge.report.advice import Advice


def about(advice: list[Advice], word: str) -> Advice | None:
    """Return the first piece of advice that contains a word; None if there is none."""
    return next((each for each in advice if word in each.says), None)


def costing(seconds: float, record: Record) -> Record:
    """Set the seconds that a record states as its cost, and return the record."""
    record.cost["seconds"] = seconds
    return record
