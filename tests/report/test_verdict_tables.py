"""Short tables of verdicts: which rows stand in which table, what is beside what, and the page they are put into."""

import numpy as np
import pytest
from made_records import made, write

from landbridge.report.__main__ import main
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.controls import control_of
from landbridge.report.inserted import BEGIN, END
from landbridge.report.tables.verdicts import verdict_tables

SEEDS = range(6)
WEAK = {"_target_": "landbridge.data.augment_policies.Weak", "shift": 2}


def augmented(record, option):
    record.choices["augment"] = option
    record.fingerprint += option
    record.config["augment"] = WEAK if option == "weak" else None
    return record


@pytest.fixture
def runs(tmp_path):
    """Return the folder of runs of four methods with two augmentations, and of an oracle."""
    wave = 0.01 * np.sin(np.arange(6))
    records = []
    for seed in SEEDS:
        for option in ("none", "weak"):
            gain = 0.1 if option == "weak" else 0.0
            rows = {"source_only": 0.5, "adabn": 0.55, "dann": 0.7}
            records += [
                augmented(made(name, value + gain + (name != "source_only") * wave[seed], seed), option)
                for name, value in rows.items()
            ]
        # In every seed, the same one of 60 samples is right with pseudo-labels and wrong without.
        for weight, right in ((1.0, 49), (0.0, 48)):
            value = (right + seed % 3) / 60
            records.append(augmented(made("fixmatch", value, seed, strategy__weight=weight), "weak"))
        oracle = made("target_only", 0.95, seed, source=None, target_labels="all")
        records.append(augmented(oracle, "none"))
    return write(tmp_path / "runs", records)


def tables(folder, control=None):
    """Return the rows of each table, by its heading."""
    found = collect([folder])
    text = str(verdict_tables(compare(found.runs, found.unfinished), control))
    parts = [part.splitlines() for part in text.split("### ")[1:]]
    return text, {
        lines[0]: [[each.strip() for each in line.strip("| ").split(" | ")] for line in lines[1:] if "|" in line]
        for lines in parts
    }


def test_each_pair_and_augmentation_has_a_table_with_its_own_oracle(runs):
    _, found = tables(runs)
    assert list(found) == ["noon → dusk, augment=none", "noon → dusk, augment=weak"]
    none, weak = ([row[0] for row in rows[2:]] for rows in found.values())
    assert none == ["source_only", "adabn", "dann", "ORACLE: target_only"]
    assert weak == ["source_only", "adabn", "dann", "fixmatch strategy.weight=0", "fixmatch strategy.weight=1"]


def test_a_gain_is_over_the_reference_with_the_same_augmentation(runs):
    _, found = tables(runs)
    for rows in found.values():
        head, *body = rows[0], *rows[2:]
        gain, reference = (
            next(i for i, title in enumerate(head) if title.startswith(name)) for name in ("gain", "ref")
        )
        (dann,) = [row for row in body if row[0] == "dann"]
        assert dann[gain].startswith("+20."), dann
        assert dann[reference] == "source_only"


def test_the_control_is_the_ablation_and_else_the_simple_strategy(runs):
    found = collect([runs])
    cells = compare(found.runs, found.unfinished).cells
    by_name = {str(cell.method): cell for cell in cells}
    full = by_name["fixmatch strategy.weight=1"]
    beside = control_of(full, cells, "adabn")
    assert beside
    assert beside.cell is by_name["fixmatch strategy.weight=0"]
    assert beside.gain.mean == pytest.approx(1 / 60)
    (dann, *_) = [cell for cell in cells if cell.method.strategy == "dann"]
    simple = control_of(dann, cells, "adabn")
    assert simple
    assert simple.cell.method.strategy == "adabn"
    assert simple.gain.mean == pytest.approx(0.15)
    assert control_of(dann, cells) is None
    for cell in cells:
        if cell.no_claim or cell.method.strategy == "adabn":
            assert control_of(cell, cells, "adabn") is None


def test_a_gain_over_a_control_counts_test_items_as_drawn_at_random(runs):
    """A gain in one sample, the same in every seed, has no variance over seeds, and is no evidence."""
    found = collect([runs])
    cells = compare(found.runs, found.unfinished).cells
    (full,) = [cell for cell in cells if str(cell.method) == "fixmatch strategy.weight=1"]
    beside = control_of(full, cells, "adabn")
    assert beside
    assert beside.gain.over_seeds == 0
    interval = beside.gain.interval()
    assert interval
    assert interval.low < 0 < interval.high


def test_an_ablation_has_a_dash_in_place_of_a_verdict(runs):
    text, found = tables(runs, "adabn")
    weak = found["noon → dusk, augment=weak"]
    verdict = weak[0].index("verdict")
    assert [row[verdict] for row in weak[2:]] == ["—", "helps", "helps", "—", "helps"]
    assert "(corrected over 5 comparisons)" in text


def test_options_with_equal_names_and_other_settings_have_tables_of_their_own(tmp_path):
    records = [
        made(name, 0.5, seed, optimizer__lr=rate) for seed in SEEDS for name in ("source_only", "dann")
        for rate in (0.01, 0.1)
    ]  # fmt: skip
    for record in records:
        record.choices["optimizer"] = "adam"
    _, found = tables(write(tmp_path / "runs", records))
    assert list(found) == ["noon → dusk, optimizer.lr=0.01", "noon → dusk, optimizer.lr=0.1"]


def test_the_command_writes_between_the_marks_and_nothing_else(runs, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\nBefore.\n\n{BEGIN}\nearlier tables\n{END}\n\nAfter.\n")
    before = sorted(runs.iterdir())
    for _ in range(2):
        main([str(runs), "--into", str(page), "--control", "adabn"])
    text = page.read_text()
    assert text.startswith(f"# Title\n\nBefore.\n\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\n\nAfter.\n")
    assert "earlier tables" not in text
    assert text.count("### ") == 2
    assert sorted(runs.iterdir()) == before
    assert "page" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["no marks", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n", None])
def test_a_page_without_a_place_is_refused_and_kept(runs, tmp_path, content):
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    with pytest.raises(SystemExit, match=r"page\.md"):
        main([str(runs), "--into", str(page)])
    assert (page.read_text() if page.exists() else None) == content


def test_neither_another_augmentation_nor_an_ablation_nor_a_longer_reference_is_a_further_trial(runs, tmp_path):
    longer = [made("source_only", 0.5, seed, trainer__max_epochs=6) for seed in SEEDS]
    tuned = [made("mcc", 0.5, seed, strategy__weight=weight) for seed in SEEDS for weight in (0.5, 1.0)]
    more = write(tmp_path / "more", [augmented(record, "weak") for record in (*longer, *tuned)])
    found = collect([runs, more])
    trials: dict[str, set[int]] = {}
    for cell in compare(found.runs, found.unfinished).cells:
        trials.setdefault(cell.method.strategy, set()).add(cell.trials)
    assert trials == {each: {1} for each in trials if each != "mcc"} | {"mcc": {2}}


def test_the_mean_over_pairs_is_over_the_pairs_that_all_methods_have(tmp_path):
    records = [
        made(name, value + shift, seed, target=target)
        for seed in SEEDS
        for target, shift in (("dusk", 0.0), ("dawn", 0.2), ("night", -0.3))
        for name, value in (("source_only", 0.5), ("dann", 0.6))
        if (name, target) != ("dann", "night")
    ]
    text, found = tables(write(tmp_path / "runs", records))
    head, _, source_only, dann = found["All pairs"]
    assert "Mean over the 2 pairs that all methods have (noon → dawn, noon → dusk)" in text
    assert head[:3] == ["method", "mean accuracy, % [95 %]", "mean gain, points"]
    assert (source_only[0], source_only[1].split()[0]) == ("source_only", "60.0")
    assert (dann[0], dann[1].split()[0], dann[2]) == ("dann", "70.0", "+10.0")
    assert sum(int(each) for each in dann[3:] if each) == 2
