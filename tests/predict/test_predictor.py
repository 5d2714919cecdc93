"""A finished run as a model: its predictions equal the run's own test outputs, and no data of the run is read."""

import csv
import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image

import landbridge
from dusk import dusk
from dusk_tasks import dusk_task
from dusk_text import chatter
from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError
from landbridge.predict.__main__ import main
from landbridge.record import OUTPUTS, Record, read_arrays
from landbridge.report.__main__ import main as report
from landbridge.report.runs import Run
from landbridge.report.single_runs.details import detail

SUPERVISED = ("source=null", "strategy=target_only", "target_labels=all", "data.workers=0")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write 24 images of two classes and different sizes."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data") / "photos"
    for name in ("ants", "bees"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 255, (40 + number, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Write the same 60 vectors as an archive and as a table; return the folder and the vectors."""
    folder = tmp_path_factory.mktemp("numbers")
    x = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    np.savez(folder / "v.npz", x=x, y=np.where(x[:, 0] > 0, "yes", "no"))
    names = ["a", "b", "c", "price", "kind", "tags"]
    rows = [
        [*map(repr, map(float, row)), 1000 + 300 * row[0], ("mug", "bag")[int(row[1] > 0)], ("red|big", "big")[k % 2]]
        for k, row in enumerate(x)
    ]
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return folder, x


def outputs(folder):
    kept = read_arrays(folder / OUTPUTS)
    return kept["target_ids"].tolist(), kept["target_logits"], kept["target_labels"]


def test_images_in_files_equal_the_test_outputs_bit_for_bit_and_ids_trace_them(tiny, tmp_path, photos):
    tiny("target=image_folder", f"target.root={photos}", *SUPERVISED)
    ids, logits, labels = outputs(tmp_path / "run")
    model = landbridge.load(tmp_path / "run", "cpu")
    found = model.predict(ids)
    assert np.array_equal(found.outputs.numpy(), logits)
    # A path leads to the sample: its folder is its class.
    assert [("ants", "bees")[label] for label in labels] == [path.split("/")[-2] for path in ids]
    assert list(found.ids) == ids
    # Images of Pillow, arrays and tensors of the same files are read in the same way.
    images = [Image.open(path) for path in ids]
    assert torch.equal(model.predict(images).outputs, found.outputs)
    assert torch.equal(model.predict([np.asarray(each) for each in images]).outputs, found.outputs)
    first = torch.from_numpy(np.array(images[0])).permute(2, 0, 1)
    assert torch.allclose(model.predict(first).outputs, found.outputs[:1], atol=1e-5)
    # Two processes decode the same.
    assert torch.equal(model.predict(ids, batch_size=3, workers=2).probabilities.argmax(1), found.outputs.argmax(1))
    assert len(model.predict(photos)) == 24
    assert found.features.shape == (len(ids), 8)
    assert model.predict(ids, features=False).features is None


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        (("target=vectors", "target.file={}/v.npz"), ["sample", "class", "probability"]),
        (("target=table", "target.file={}/t.csv", "target.numbers=[a,b,c]", "target.label=price"), ["sample", "price"]),
        (
            ("target=table", "target.file={}/t.csv", "target.numbers=[a,b,c]", "target.label=[kind,price]"),
            ["sample", "kind.class", "kind.probability", "price"],
        ),
        (
            ("target=table", "target.file={}/t.csv", "target.numbers=[a,b,c]", "target.label=tags",
             'target.separator="|"'),
            ["sample", "classes", "p(big)", "p(red)"],
        ),
    ],
    ids=["vectors", "regression", "several", "multi_label"],
)  # fmt: skip
def test_vectors_and_tables_equal_the_test_outputs_bit_for_bit(settings, columns, tiny, tmp_path, numbers):
    folder, x = numbers
    if settings[0] == "target=table":
        pytest.importorskip("polars")
    tiny(*(each.format(folder) for each in settings), "backbone=mlp", *SUPERVISED)
    ids, logits, _ = outputs(tmp_path / "run")
    rows = np.array([int(each) for each in ids]) - (2 if settings[0] == "target=table" else 0)
    found = landbridge.load(tmp_path / "run", "cpu").predict(x[rows])
    assert np.array_equal(found.outputs.numpy(), logits)
    assert list(found.columns()) == columns


@pytest.mark.parametrize("kind", ["regression", "multi_label", "several"])
def test_images_in_memory_of_every_task_equal_the_test_outputs(kind, tiny, tmp_path):
    tiny(f"target=dusk_{kind}", *SUPERVISED)
    images = dusk_task("dusk", kind, shift=0.5).splits["test"].inputs.tensor
    found = landbridge.load(tmp_path / "run", "cpu").predict(images)
    ids, logits, _ = outputs(tmp_path / "run")
    assert np.array_equal(found.outputs.numpy(), logits)
    assert ids == [str(row) for row in range(48, 60)]
    assert len(found.by_task) == (2 if kind == "several" else 0)


def test_texts_equal_the_test_outputs_bit_for_bit(tiny, tmp_path):
    pytest.importorskip("transformers")
    tiny("target=chatter", "backbone=tiny_bert", *SUPERVISED)
    texts = list(chatter("chatter").splits["test"].inputs.texts)
    model = landbridge.load(tmp_path / "run", "cpu")
    found = model.predict(texts)
    assert np.array_equal(found.outputs.numpy(), outputs(tmp_path / "run")[1])
    (tmp_path / "some.txt").write_text("\n".join(texts))
    again = model.predict(tmp_path / "some.txt")
    assert torch.equal(again.outputs, found.outputs)
    assert again.ids[:2] == ["1", "2"]
    assert len(model.predict("one text")) == 1


@pytest.mark.parametrize(
    ("overrides", "tolerance"),
    [
        (("strategy=knn",), 0),
        (("strategy=nearest_mean", "head=linear"), 0),
        (("strategy=dsbn", "source=noon"), 0),
        (("strategy=delta", "source=noon", "target_labels=2", "start=source", "start.cache={}"), 0),
        (("strategy=adda", "source=noon", "start=source", "start.cache={}"), 0),
        (("tuning=lora", "tuning.alpha=400", "trainer.max_epochs=3"), 1e-5),
        (("tuning=adapters", "trainer.max_epochs=2"), 0),
        (("head=weight_norm", "averaging=ema"), 0),
        (("head=cosine", "trainer.precision=64-true"), 1e-5),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_strategies_that_change_the_network_are_opened_too(overrides, tolerance, tiny, tmp_path):
    if "tuning=lora" in overrides:
        pytest.importorskip("peft")
    alone = () if "source=noon" in overrides else SUPERVISED
    tiny(*alone, *(each.format(tmp_path / "starts") for each in overrides))
    images = dusk("dusk", shift=0.5).splits["test"].inputs.tensor
    found = landbridge.load(tmp_path / "run", "cpu").predict(images)
    logits = outputs(tmp_path / "run")[1]
    assert np.abs(found.outputs.numpy() - logits).max() <= tolerance


def test_neither_data_nor_labels_of_the_run_are_read(tiny, tmp_path, numbers, monkeypatch):
    folder, x = numbers
    data = tmp_path / "v.npz"
    data.write_bytes((folder / "v.npz").read_bytes())
    tiny("target=vectors", f"target.file={data}", "backbone=mlp", *SUPERVISED)
    data.unlink()

    def opened(*arguments, **options):
        raise AssertionError("labels are opened")

    monkeypatch.setattr(Labels, "__init__", opened)
    ids, logits, _ = outputs(tmp_path / "run")
    found = landbridge.load(tmp_path / "run", "cpu").predict(x[[int(each) for each in ids]])
    assert np.array_equal(found.outputs.numpy(), logits)


def test_opening_and_predicting_leave_random_numbers_alone(tiny, tmp_path):
    tiny(*SUPERVISED)
    state = torch.get_rng_state()
    landbridge.load(tmp_path / "run", "cpu").predict(np.zeros((300, 28, 28), np.uint8), batch_size=100)
    assert torch.get_rng_state().equal(state)


def test_a_frame_and_rows_by_column_are_read_in_the_order_of_the_model(tiny, tmp_path, numbers):
    pl = pytest.importorskip("polars")
    folder, _ = numbers
    tiny("target=table", f"target.file={folder}/t.csv", "target.numbers=all", "target.label=kind",
         "backbone=mlp", *SUPERVISED)  # fmt: skip
    model = landbridge.load(tmp_path / "run", "cpu")
    assert model.preprocessing["columns"] == ["a", "b", "c", "price"]
    frame = pl.read_csv(folder / "t.csv")
    found = model.predict(frame.select("price", "kind", "c", "b", "a")[:5])
    assert torch.equal(found.outputs, model.predict(frame.to_dicts()[:5]).outputs)
    with pytest.raises(LandbridgeError, match=r"row 1 lacks 1 of the 4 columns that this model takes: price"):
        model.predict([{"a": 1, "b": 2, "c": 3, "price": 4}, {"a": 1, "b": 2, "c": 3}])


# ---- the command


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
    from landbridge.run.run import run

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


def test_runs_without_a_model_are_refused(tiny, tmp_path):
    tiny(*SUPERVISED)
    record = Record.read(tmp_path / "run")
    record.status, record.reason = "failed", "LandbridgeError: training diverged"
    record.write(tmp_path / "run")
    with pytest.raises(LandbridgeError, match=r"is not finished \(status failed: training diverged\)"):
        landbridge.load(tmp_path / "run")
    tiny("strategy=bn_adapt", f"start.cache={tmp_path}", folder="adapted")
    with pytest.raises(LandbridgeError, match=r"keeps no model of its own, because .* trains nothing before the test"):
        landbridge.load(tmp_path / "adapted")
    record.status = "done"
    record.config["backbone"]["_target_"] = "os.system"
    record.write(tmp_path / "run")
    with pytest.raises(LandbridgeError, match=r"backbone\._target_ .*os\.system is neither a class"):
        landbridge.load(tmp_path / "run")


def test_a_notebook_needs_no_command_line(tmp_path):
    settings = ["source=null", "target=uci_digits", "strategy=target_only", "target_labels=5", "logger=none",
                "cache=off", "trainer=cpu", "trainer.max_epochs=1", "data.steps_per_epoch=1"]  # fmt: skip
    assert landbridge.compose(settings).target._target_ == landbridge.compose(settings).target._target_
    record = landbridge.train(settings, tmp_path / "run")
    assert record.choices["strategy"] == "target_only"
    assert record.overrides == settings
    assert "classification (0, 1, 2" in repr(landbridge.load(tmp_path / "run", "cpu"))
    with pytest.raises(LandbridgeError, match="nearest: uci_digits"):
        landbridge.compose(["target=uci_digit"])


def test_the_target_of_two_different_tasks_is_predicted_by_its_own_head(tiny, tmp_path):
    settings = ("label_sets=different", "source=noon_regression", "strategy=fine_tune", "start=source")
    tiny(*settings, f"start.cache={tmp_path}", "target_labels=all")
    images = dusk("dusk", shift=0.5).splits["test"].inputs.tensor
    found = landbridge.load(tmp_path / "run", "cpu").predict(images)
    assert np.array_equal(found.outputs.numpy(), outputs(tmp_path / "run")[1])
    assert set(found.classes) <= {"bar", "beam", "cross"}


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


def test_a_device_that_is_not_there_is_refused(tiny, tmp_path):
    tiny(*SUPERVISED)
    for device in ("gpu", "cuda:99"):
        with pytest.raises(LandbridgeError, match=f"device={device} cannot be used"):
            landbridge.load(tmp_path / "run", device)


def test_a_mistake_on_the_page_of_the_report_names_its_file(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name, number in itertools.product(("ants", "bees"), range(12)):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        # Noise without a class, so that some predictions are wrong; the file's name is hostile.
        pixels = rng.integers(0, 255, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / f'<b id="x">{number}.png')
    tiny("target=image_folder", f"target.root={tmp_path}/photos", *SUPERVISED)
    ids, logits, labels = outputs(tmp_path / "run")
    wrong = [path for path, own, label in zip(ids, logits, labels, strict=True) if own.argmax() != label]
    run = Run(tmp_path / "run", Record.read(tmp_path / "run"))
    assert sorted(mistake.sample for mistake in detail(run).mistakes) == sorted(wrong) != []
    report([str(tmp_path / "run")])
    page = (tmp_path / "run/report.html").read_text()
    assert "&lt;b id=" in page
    assert '<b id="x">' not in page
