"""Subgroups: means, intervals, the worst group and gaps, worked by hand and by scipy."""

import csv
import io

import pytest
from made_records import made, write
from scipy import stats
from test_report_page import parsed

from landbridge.report.__main__ import main

# By strategy and seed, the accuracy of each hospital.
SCORES = {
    ("source_only", 0): {"north": 0.9, "south": 0.5, "west": 0.7},
    ("source_only", 1): {"north": 0.8, "south": 0.6, "west": 0.7},
    ("dann", 0): {"north": 0.6, "south": 0.7, "west": 0.8},
    ("dann", 1): {"north": 0.65, "south": 0.6, "west": 0.8},
}
COUNTS = {"north": 30, "south": 10, "west": 20}


@pytest.fixture
def folder(tmp_path):
    records = []
    for (strategy, seed), scores in SCORES.items():
        record = made(strategy, 0.7, seed)
        record.results["target"]["subgroups"] = {
            "hospital": {
                name: {"n": COUNTS[name], "accuracy": value, "low": value - 0.1, "high": value + 0.05}
                for name, value in scores.items()
            },
            "sex": {"f": {"n": 60, "accuracy": 0.7, "low": 0.6, "high": 0.8}},
        }
        records.append(record)
    write(tmp_path, records)
    main([str(tmp_path)])
    return tmp_path


def rows(folder, name):
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


def test_every_group_has_its_count_its_mean_and_both_intervals(folder):
    groups = {
        (row["strategy"], row["value"]): row for row in rows(folder, "subgroups.csv") if row["attribute"] == "hospital"
    }
    assert len(groups) == 6
    for (strategy, name), row in groups.items():
        values = [SCORES[strategy, seed][name] for seed in (0, 1)]
        mean = sum(values) / 2
        assert (float(row["n"]), float(row["score"])) == (COUNTS[name], pytest.approx(mean))
        assert float(row["items_low"]) == pytest.approx(mean - 0.1)
        assert float(row["items_high"]) == pytest.approx(mean + 0.05)
        if values[0] != values[1]:
            low, high = stats.t.interval(0.95, 1, mean, stats.sem(values))
            assert (float(row["score_low"]), float(row["score_high"])) == pytest.approx((low, high), rel=1e-5)
    assert {key for key, row in groups.items() if row["worst"]} == {("source_only", "south"), ("dann", "north")}


def test_the_gap_is_the_mean_over_seeds_of_the_gaps_with_one_seed(folder):
    gaps = {(row["strategy"], row["attribute"]): row for row in rows(folder, "gaps.csv")}
    assert float(gaps["source_only", "hospital"]["gap"]) == pytest.approx((0.4 + 0.2) / 2)
    assert float(gaps["dann", "hospital"]["gap"]) == pytest.approx((0.2 + 0.2) / 2)
    assert gaps["source_only", "hospital"]["worst"] == "south"
    assert float(gaps["source_only", "hospital"]["worst_n"]) == 10
    assert gaps["dann", "hospital"]["best"] == "west"
    assert float(gaps["dann", "sex"]["gap"]) == 0


def test_a_single_group_is_not_marked_as_the_worst(folder):
    assert not any(row["worst"] for row in rows(folder, "subgroups.csv") if row["attribute"] == "sex")


def test_the_page_and_markdown_show_the_tables_of_the_csv(folder):
    page, text = parsed(folder), (folder / "report.md").read_text()
    for table, name in (("table-subgroups", "subgroups.csv"), ("table-gaps", "gaps.csv")):
        kept = rows(folder, name)
        shown = page.table(table)
        assert len(shown) == len(kept) > 0
        assert all(row == {key: other[key] for key in row} for row, other in zip(shown, kept, strict=True))
    line = next(each for each in text.splitlines() if "source_only" in each and "south" in each and "worst" in each)
    assert "| 55.0 [-8.5, 118.5] | [45.0, 60.0] |" in line


def test_groups_without_samples_in_some_run_are_left_out(tmp_path):
    records = [made("dann", 0.7, seed) for seed in (0, 1)]
    for record, names in zip(records, (("a", "b"), ("a",)), strict=True):
        groups = {name: {"n": 5, "accuracy": 0.5, "low": 0.2, "high": 0.8} for name in names}
        record.results["target"]["subgroups"] = {"site": groups}
    write(tmp_path, records)
    main([str(tmp_path)])
    assert [row["value"] for row in rows(tmp_path, "subgroups.csv")] == ["a"]


def test_without_subgroups_there_is_no_table(tmp_path):
    write(tmp_path, [made("dann")])
    main([str(tmp_path)])
    assert not (tmp_path / "subgroups.csv").exists()
    assert 'id="subgroups"' not in (tmp_path / "report.html").read_text()
