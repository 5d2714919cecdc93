"""Budgets count the steps of the source model and the samples read, and choose the reference of equal length."""

import pytest
from made_records import made, write

from landbridge.record import Record
from landbridge.report.cells import Cell
from landbridge.report.collect import collect
from landbridge.report.compare import compare

SOURCE = {"_target_": "landbridge.models.start.Source"}


@pytest.fixture
def compared(tmp_path):
    """Return a function that compares records as a report does, and returns the cell of each strategy by its name."""

    def through(*records) -> dict[str, Cell]:
        cells = compare(collect([write(tmp_path, records)]).runs).cells
        return {cell.method.strategy: cell for cell in cells}

    return through


def counting(record: Record, steps: int, source: int = 0, per_step: int = 64) -> Record:
    record.cost |= {"steps": steps, "passes": steps * per_step}
    if source:
        record.cost |= {"source_steps": source, "source_passes": source * 64}
    return record


def short(**settings):
    return counting(made("source_only", 0.5, **settings), 300)


def long(**settings):
    return counting(made("source_only", 0.55, trainer__max_epochs=6, **settings), 600)


def continuing(**settings):
    return counting(made("mcc", 0.6, start=SOURCE, **settings), 300, 300)


def test_a_method_that_continues_a_source_model_has_more_steps_than_source_only(compared, advised):
    cell = compared(short(), continuing())["mcc"]
    assert cell.flags[-1] == "unequal budget: 600 steps against 300"
    assert cell.judgement.budget_mismatch
    overrides = [each.override for each in advised([short(), continuing()])]
    assert "strategy=source_only trainer.max_epochs=6" in overrides


def test_the_reference_with_equal_steps_in_all_is_used_and_named(compared):
    cells = compared(short(), long(), continuing(), counting(made("dann", 0.7), 300, per_step=128))
    assert {name: each.reference_name for name, each in cells.items() if each.reference} == {
        "mcc": "source_only, 600 steps",
        "dann": "source_only, 300 steps",
    }
    assert cells["mcc"].gains == pytest.approx([0.05])
    assert cells["dann"].gains == pytest.approx([0.2])
    assert not any("budget" in flag for name in ("mcc", "dann") for flag in cells[name].flags)


def test_a_reference_with_an_equal_method_is_preferred_to_one_of_equal_steps(compared):
    cell = compared(short(freeze__depth=1), long(), continuing(freeze__depth=1))["mcc"]
    assert cell.flags[-1].endswith("600 steps against 300")


def test_only_more_than_one_target_sample_beside_each_source_sample_is_flagged(compared):
    views = counting(made("mcc", 0.6), 300, per_step=192)
    cells = compared(short(), counting(made("dann", 0.6), 300, per_step=128), views)
    assert cells["mcc"].flags[-1] == "3.0 times as many samples read in training"
    assert not any("read" in flag for flag in cells["dann"].flags)


def test_a_method_without_steps_has_no_number_of_steps_to_compare(compared):
    assert not any("budget" in each for each in compared(short(), counting(made("dann", 0.6), 0))["dann"].flags)


def test_records_of_older_versions_count_their_planned_steps(compared):
    cell = compared(made("source_only", 0.5), made("mcc", 0.6, start=SOURCE))["mcc"]
    assert (cell.budget.steps, cell.first.total_passes) == (6, None)
    assert not any("budget" in each for each in cell.flags)
