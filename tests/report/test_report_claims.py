"""Which cells claim something: the others have no verdict, and do not count in the correction."""

import csv
import io

import pytest
from made_records import made, write

from landbridge.report.answer import answer
from landbridge.report.cells import Comparison
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.page import make

SEEDS = range(5)
LINEAR, MDD = {"_target_": "landbridge.heads.Linear"}, {"_target_": "landbridge.heads.MLP", "widths": [1024]}


@pytest.fixture
def found(tmp_path_factory):
    return lambda records: collect([write(tmp_path_factory.mktemp("made"), records)])


@pytest.fixture
def compared(found):
    """Return a function that compares records as a report does."""

    def through(records) -> Comparison:
        collected = found(records)
        return compare(collected.runs, collected.unfinished)

    return through


def claiming():
    """Return runs of two methods and their reference."""
    return [
        made(name, (30 + gain + seed % 3) / 60, seed, head=LINEAR)
        for seed in SEEDS
        for name, gain in (("source_only", 0), ("dann", 9), ("mcc", 12))
    ]


def explaining(seed, accuracy=0.6):
    """Return a run of each kind that claims nothing."""
    chosen = made("mcc", accuracy, seed, head=LINEAR, selection={"_target_": "landbridge.selection.Oracle"})
    chosen.selection |= {"rule": "oracle", "oracle": True} if accuracy else {}
    return {
        "an ablation of mcc": made("mcc", accuracy, seed, head=LINEAR, strategy__weight=0),
        "a longer reference": made("source_only", accuracy, seed, head=LINEAR, trainer__max_epochs=6),
        "a reference with another head": made("source_only", accuracy, seed, head=MDD),
        "training on the target": made("target_only", accuracy, seed, source=None, head=LINEAR),
        "an oracle": chosen,
        "an oracle with more labels": made("target_only", accuracy, seed, source=None, target_labels="all"),
    }


@pytest.mark.parametrize("kind", explaining(0))
@pytest.mark.parametrize("accuracy", [0.6, None], ids=["done", "failed"])
def test_a_run_that_explains_others_has_no_verdict_and_is_not_corrected_for(compared, kind, accuracy):
    plain = compared(claiming())
    more = compared([*claiming(), *(explaining(seed, accuracy)[kind] for seed in SEEDS)])
    assert (plain.corrected_over, more.corrected_over) == (2, 2)
    assert {cell.method.strategy for cell in more.judged} == {"dann", "mcc"}
    assert [cell.judgement.adjusted_p for cell in more.judged] == [cell.judgement.adjusted_p for cell in plain.judged]
    assert "2 of 2 comparisons" in answer(more).headline
    for cell in more.cells:
        assert cell.judgement or (cell.no_claim and not cell.why_none)


def test_values_of_a_weight_that_are_not_zero_claim_something(compared):
    records = [
        made("dann", (30 + 9 * (weight > 0) + seed % 3) / 60, seed, head=LINEAR, strategy__weight=weight)
        for seed in SEEDS
        for weight in (0, 0.5, 1.0)
    ]
    comparison = compared([*claiming()[::3], *records])
    assert comparison.corrected_over == 2
    assert [str(cell.method) for cell in comparison.judged] == ["dann strategy.weight=0.5", "dann strategy.weight=1"]


def test_an_ablation_claims_nothing_also_if_all_runs_of_the_method_have_failed(compared):
    ablation = [made("mcc", 0.7, seed, head=LINEAR, strategy__weight=0) for seed in SEEDS]
    failed = made("mcc", None, 0, head=LINEAR, strategy__weight=1.0)
    comparison = compared([*claiming()[::3], *ablation, failed])
    assert not comparison.judged
    # Alone, it is a method like others.
    assert [cell.method.strategy for cell in compared([*claiming()[::3], *ablation]).judged] == ["mcc"]


def test_the_page_shows_a_dash_with_the_reason_and_the_csv_the_reason(found):
    records = [*claiming(), *(each for seed in SEEDS for each in explaining(seed).values())]
    report = make(found(records), "made")
    rows = list(csv.DictReader(io.StringIO(report.tables["report.csv"])))
    reasons = {row["reason"] for row in rows if not row["verdict"]}
    name = next(row["setting"] for row in rows if row["strategy"] == "mcc" and row["verdict"])
    assert reasons == {"a reference", "an oracle", f"an ablation of mcc {name}"}
    assert f'title="an ablation of mcc {name}">' in report.html()
    assert " — " in report.markdown()


def test_a_sentence_names_the_length_of_a_reference(compared):
    longer = [made("source_only", 0.5, seed, head=LINEAR, trainer__max_epochs=6) for seed in SEEDS]
    assert "over source_only, 6 steps" in " ".join(answer(compared([*claiming(), *longer])).sentences)
    assert "over source_only, undecided" not in " ".join(answer(compared([*claiming(), *longer])).sentences)
    assert " steps" not in " ".join(answer(compared(claiming())).sentences)
