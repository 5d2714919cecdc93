"""Folders of the tests, and the settings of a run that takes less than a second."""

from pathlib import Path

TESTS = Path(__file__).parent
TINY = ("--config-dir", str(TESTS / "conf"), "experiment=tiny")
