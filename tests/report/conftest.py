"""Fixtures that several tests of the report share: a small real sweep, and advice on made records."""

import pytest
from made_records import write

from landbridge.report.__main__ import main
from landbridge.report.advice import Advice, advise
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.rules import rule_rows
from landbridge.run.run import run


@pytest.fixture(scope="session")
def swept(compose, tmp_path_factory):
    """Return a folder with runs of two strategies and an oracle over two seeds, and the report on them."""
    folder = tmp_path_factory.mktemp("sweep")
    cells = [("source_only", 0), ("dann", 0), ("target_only", "all")]
    for strategy, labels in cells:
        for seed in (0, 1):
            overrides = [f"strategy={strategy}", f"seed={seed}", f"target_labels={labels}", "trainer.max_epochs=3"]
            run(compose("experiment=tiny", *overrides), folder / f"{strategy}-{seed}", overrides)
    main([str(folder), "--title", "tiny"])
    return folder


@pytest.fixture
def advised(tmp_path_factory):
    """Return a function from records to the advice of a report on them."""

    def through(records) -> list[Advice]:
        found = collect([write(tmp_path_factory.mktemp("made"), records)])
        comparison = compare(found.runs, found.unfinished)
        return advise(found, comparison, rule_rows(comparison.cells))

    return through
