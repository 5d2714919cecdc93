"""The command `landbridge-predict`: what it prints and writes, what it reads, and what it says about mistakes."""

import csv
import json

import pytest
import torch

import landbridge
from landbridge.errors import LandbridgeError
from landbridge.predict.__main__ import main
from landbridge.predict.files import _lines
from landbridge.run.run import run

SUPERVISED = ("source=null", "strategy=target_only", "target_labels=all", "data.workers=0")


@pytest.fixture
def told(capsys):
    """Return a function that runs the command, and returns what it prints; a refusal raises `Refused`."""

    def typed(*arguments):
        try:
            main([str(each) for each in arguments])
        except SystemExit as stop:
            return str(stop.code)
        return capsys.readouterr().out

    return typed


def test_the_command_prints_and_writes_the_same_table(tiny, tmp_path, photos, told):
    pl = pytest.importorskip("polars")
    tiny("target=image_folder", f"target.root={photos}", *SUPERVISED)
    printed = list(csv.DictReader(told(tmp_path / "run", photos / "ants").splitlines()))
    assert [row["sample"] for row in printed] == sorted(str(path) for path in (photos / "ants").iterdir())
    for ending in ("csv", "jsonl", "parquet"):
        told(tmp_path / "run", photos / "ants", "--out", tmp_path / f"p.{ending}", "--probabilities")
    written = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert lines == pl.read_parquet(tmp_path / "p.parquet").to_dicts()
    for one, other, more in zip(printed, written, lines, strict=True):
        assert one["class"] == other["class"] == more["class"]
        assert float(other["probability"]) == more["probability"] == max(more["p(ants)"], more["p(bees)"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["p.csv", "p.jsonl", "p.parquet"]


def test_tables_without_labels_are_predicted_and_rows_are_named(tiny, tmp_path, numbers, told):
    pytest.importorskip("polars")
    folder, _ = numbers
    tiny("target=table", f"target.file={folder}/t.csv", "target.numbers=[a,b,c]", "target.label=kind",
         "backbone=mlp", *SUPERVISED)  # fmt: skip
    (tmp_path / "new.csv").write_text("b,c,a\n0.5,1,2\n1,1,1\n")
    (tmp_path / "other.tsv").write_text("b\tc\ta\n0.5\t1\t2\n")
    one = told(tmp_path / "run", tmp_path / "new.csv").splitlines()
    assert [line.split(",")[0] for line in one] == ["sample", "2", "3"]
    both = told(tmp_path / "run", tmp_path / "new.csv", tmp_path / "other.tsv").splitlines()
    assert both[3].split(",")[0] == f"{tmp_path / 'other.tsv'}:2"
    assert both[3].split(",")[1:] == one[1].split(",")[1:]


@pytest.mark.parametrize(
    ("files", "arguments", "sentence"),
    [
        ({}, ["nowhere", "x.csv"], "there is no folder nowhere; name the folder of a run"),
        ({}, [".", "x.csv"], "has no record.json; name one of the 1 runs below it, such as run"),
        ({}, ["run/record.json", "x.csv"], "there is no file or folder x.csv"),
        ({}, ["run/last.ckpt", "x.csv"], "last.ckpt is a file; name the folder of a run, such as run"),
        ({"x.csv": "a,b\n1,2\n"}, ["run", "x.csv"], "x.csv lacks 1 of the 3 columns that this model takes: c"),
        ({"x.csv": "a,b,c\n1,2,3\n1,,3\n"}, ["run", "x.csv"], "x.csv: row 3, column b: the value is missing"),
        ({"x.csv": "a,b,c\n1,2,oops\n"}, ["run", "x.csv"], "row 2, column c: 'oops' is not a number"),
        ({"x.png": "no image"}, ["run", "x.png"], "x.png is no input of this model, which takes tables"),
        ({}, ["run", "run"], "run is a folder, and this model takes tables"),
        ({"x.npy": "broken"}, ["run", "x.npy"], "x.npy cannot be read: it needs one array of numbers"),
        ({"x.csv": "a,b,c\n1,2,3\n"}, ["run", "x.csv", "--out", "p.xlsx"], ".jsonl, .parquet, not to p.xlsx"),
        ({"x.csv": "a,b,c\n1,2,3\n"}, ["run", "x.csv", "--out", "no/p.csv"], "there is no folder no"),
        ({"x.csv": "a,b,c\n1,2,3\n"}, ["run", "x.csv", "--columns", "a"], "1 columns are named, and this model"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_sentence(files, arguments, sentence, finished, told, monkeypatch):
    pytest.importorskip("polars")
    monkeypatch.chdir(finished)
    for name, content in files.items():
        (finished / name).write_text(content)
    message = told(*arguments)
    assert message.startswith("landbridge-predict: ")
    assert sentence in message
    assert "\n" not in message


@pytest.fixture(scope="module")
def finished(compose, tmp_path_factory, numbers):
    """Make a run on the numbers of a table; return the folder that holds it."""
    folder = tmp_path_factory.mktemp("finished")
    settings = (f"target.file={numbers[0]}/t.csv", "target.numbers=[a,b,c]", "target.label=kind", "backbone=mlp")
    run(compose("experiment=tiny", "target=table", *settings, *SUPERVISED), folder / "run")
    return folder


def test_an_unreadable_image_is_named(tiny, tmp_path, photos, told):
    tiny("target=image_folder", f"target.root={photos}", *SUPERVISED)
    (tmp_path / "broken.jpg").write_text("no image")
    assert "broken.jpg: cannot be read as an image" in told(tmp_path / "run", tmp_path / "broken.jpg")
    (tmp_path / "empty").mkdir()
    assert "holds no image; valid extensions" in told(tmp_path / "run", tmp_path / "empty")
    with pytest.raises(LandbridgeError, match=r"images are uint8 .*; this is float32 of the shape \(2, 3, 8, 8\)"):
        landbridge.load(tmp_path / "run", "cpu").predict(torch.zeros(2, 3, 8, 8))


def test_a_table_of_paths_and_a_table_of_texts(tiny, tmp_path, photos, told):
    pytest.importorskip("polars")
    pytest.importorskip("transformers")
    tiny("target=image_folder", f"target.root={photos}", *SUPERVISED)
    (photos.parent / "list.csv").write_text("path,other\nphotos/ants/3.png,7\nphotos/bees/4.png,8\n")
    by_path = told(tmp_path / "run", photos.parent / "list.csv", "--columns", "path")
    assert by_path == told(tmp_path / "run", photos / "ants/3.png", photos / "bees/4.png")
    assert "name the one column that holds images, of path, other" in told(tmp_path / "run", photos.parent / "list.csv")

    tiny("target=chatter", "backbone=tiny_bert", *SUPERVISED, folder="texts")
    (tmp_path / "t.csv").write_text("id,text\n1,the lamp was fine\n2,a dull book\n")
    rows = told(tmp_path / "texts", tmp_path / "t.csv", "--columns", "text").splitlines()
    found = landbridge.load(tmp_path / "texts", "cpu").predict(["the lamp was fine", "a dull book"])
    assert [row.split(",")[:2] for row in rows[1:]] == [["2", found.classes[0]], ["3", found.classes[1]]]
    assert "lacks 1 of the 1 columns that this model takes: words" in told(
        tmp_path / "texts", tmp_path / "t.csv", "--columns", "words"
    )
    assert "texts is a folder, and this model takes tables with a column of texts" in told(
        tmp_path / "texts", tmp_path / "texts"
    )


def test_an_empty_line_is_no_text(tmp_path):
    (tmp_path / "texts.txt").write_text("good\n\nbad\n")
    with pytest.raises(LandbridgeError, match=r"texts\.txt: line 2 is empty, and each line is a text"):
        _lines(tmp_path / "texts.txt")
