"""The model card states what the record knows, and names what it does not know."""

import csv

import numpy as np
import pytest

from landbridge.record import Record
from landbridge.report.__main__ import main
from landbridge.report.card import CARD, card
from landbridge.report.written import BEGINNING

SUPERVISED = ("source=null", "strategy=target_only", "target_labels=all")


@pytest.fixture
def table(tmp_path):
    """Write a table with numbers, a class with a hostile name, a price and a place."""
    x = np.random.default_rng(0).normal(size=(90, 3))
    names = ("<script>|evil", "bag")
    rows = [[*row, names[int(row[0] > 0)], 50 + 9 * row[0], ("north", "south")[k % 2]] for k, row in enumerate(x)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "kind", "price", "place"], *rows])
    return ("target=table", f"target.file={tmp_path}/t.csv", "target.numbers=[a,b,c]", "backbone=mlp")


def test_a_card_of_classes_has_intervals_subgroups_and_the_command(tiny, table, tmp_path, capsys):
    pytest.importorskip("polars")
    record = tiny(*table, "target.label=kind", "target.attributes=place", *SUPERVISED)
    main(["--card", str(tmp_path / "run")])
    assert str(tmp_path / "run/model_card.md") in capsys.readouterr().out
    text = (tmp_path / "run/model_card.md").read_text()
    result = record.results["target"]
    assert f"| t | all | {result['n']} | accuracy | {100 * result['accuracy']:.1f} % | [" in text
    north = result["subgroups"]["place"]["north"]
    ends = f"[{100 * north['low']:.1f}, {100 * north['high']:.1f}]"
    assert f"| t | place north | {north['n']} | accuracy | {100 * north['accuracy']:.1f} % | {ends} |" in text
    # A shell reads the command as it was typed.
    assert "landbridge target=table target.file=" in text
    assert "'target.numbers=[a,b,c]'" in text
    assert "- Columns: a, b, c" in text
    assert "- Target t: not in the record: state it here" in text
    assert "The test split has" in text
    assert "<script>" not in text
    assert r"&lt;script>\|evil" in text


def test_a_card_of_numbers_has_the_interval_of_the_error(tiny, table, tmp_path):
    pytest.importorskip("polars")
    record = tiny(*table, "target.label=price", *SUPERVISED)
    text = card(tmp_path / "run")
    (line,) = (line for line in text.splitlines() if "mean absolute error" in line)
    low, high = (float(end) for end in line.rsplit("[", 1)[1].split("]")[0].split(", "))
    assert low < record.results["target"]["mae"] < high
    assert "Results of subgroups" in text


def test_an_oracle_and_a_source_are_named(tiny, tmp_path):
    tiny("selection=oracle", "strategy=dann")
    text = card(tmp_path / "run")
    assert "ORACLE: hidden labels chose the epoch" in text
    assert "- Source: noon, images" in text
    assert "trained without labels of the target" in text


def test_a_record_of_an_earlier_version_still_has_a_card(tiny, tmp_path):
    tiny(*SUPERVISED)
    record = Record.read(tmp_path / "run")
    del record.data["target"]["inputs"]
    record.write(tmp_path / "run")
    assert "- Target: dusk, samples (" in card(tmp_path / "run")


def test_a_later_card_replaces_an_earlier_one_and_no_file_of_the_user(tiny, tmp_path):
    tiny(*SUPERVISED)
    record = Record.read(tmp_path / "run")
    # A card of many classes is longer than what is read of an earlier file.
    record.results["target"]["accuracy_by_class"] = {f"class number {number}": 0.5 for number in range(1000)}
    record.write(tmp_path / "run")
    place = tmp_path / "run" / CARD
    main(["--card", str(tmp_path / "run")])
    first = place.read_text()
    assert len(first) > BEGINNING
    main(["--card", str(tmp_path / "run")])
    assert place.read_text() == first
    for own in (
        "# Model card: mine",
        "",
        first.replace("## Licences", "## Licences\n\nMy photos: CC0"),
        first + "More.\n",
    ):
        place.write_text(own)
        with pytest.raises(SystemExit, match=r"model_card\.md: landbridge-report did not write this file as it is now"):
            main(["--card", str(tmp_path / "run")])
        assert place.read_text() == own


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [(["nowhere"], "there is no folder nowhere"), (["a", "b"], "--card takes the folder of one")],
)
def test_a_mistake_is_told_in_one_sentence(folders, sentence):
    with pytest.raises(SystemExit) as stop:
        main(["--card", *folders])
    assert sentence in str(stop.value)
