"""A finished run as a model: its predictions equal the run's own test outputs, and no data of the run is read."""

import itertools

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
from landbridge.export.description import describe
from landbridge.predict.predictions import Predictions
from landbridge.record import OUTPUTS, Record, read_arrays
from landbridge.report.__main__ import main as report
from landbridge.report.runs import Run
from landbridge.report.single_runs.details import detail
from landbridge.tasks import Classification

SUPERVISED = ("source=null", "strategy=target_only", "target_labels=all", "data.workers=0")


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


def test_inverted_and_padded_images_equal_the_test_outputs_bit_for_bit(tiny, tmp_path, photos):
    tiny("target=image_folder", f"target.root={photos}", "target.resize=pad", "target.invert=true", *SUPERVISED)
    ids, logits, _ = outputs(tmp_path / "run")
    model = landbridge.load(tmp_path / "run", "cpu")
    found = model.predict(ids)
    assert np.array_equal(found.outputs.numpy(), logits)
    assert torch.equal(model.predict([Image.open(path) for path in ids]).outputs, found.outputs)
    assert torch.equal(model.predict([np.asarray(Image.open(path)) for path in ids]).outputs, found.outputs)
    # Another reading of the same files gives other outputs.
    model.run.inputs.pop("invert")
    assert not torch.equal(model.predict(ids).outputs, found.outputs)
    # Whoever runs the exported model reads from its description how to prepare a file.
    described = describe(landbridge.load(tmp_path / "run", "cpu").run)["input"]
    assert (described["resize"], described["invert"], described["crop"]) == ("pad", True, None)


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
    if overrides[0].startswith("strategy="):
        alone = tuple(each for each in alone if not each.startswith("strategy="))
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


def test_a_damaged_checkpoint_is_named_as_that_of_the_run(tiny, tmp_path):
    (tmp_path / "run" / tiny(*SUPERVISED).selection["checkpoint"]).write_bytes(b"half of it")
    with pytest.raises(LandbridgeError, match=r"^the weights of the run in .*run cannot be read: .*\.ckpt is not a"):
        landbridge.load(tmp_path / "run")


def test_a_spreadsheet_runs_no_formula_from_predictions(tmp_path):
    task = Classification(("=1+1", "+49", "@x", "plain"))
    found = Predictions(["-cmd.png", "=a.png", "-3", "b.png"], torch.eye(4), None, task)
    found.write(tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["'-cmd.png", "'=1+1"], ["'=a.png", "+49"], ["-3", "'@x"], ["b.png", "plain"]
    ]  # fmt: skip
