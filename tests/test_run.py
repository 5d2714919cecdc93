"""One run from end to end: selection, failures, interruption and resume, and loggers."""

import contextlib
import csv
import itertools
import json
import resource
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from pytorch_lightning import Trainer

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record
from landbridge.run.checkpoints import LAST, SELECTED
from landbridge.run.epochs import Epochs
from landbridge.run.run import run
from landbridge.selection import Rule, ValidationOutputs


def weights(folder: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    return torch.load(folder / name, weights_only=True)["state_dict"]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


class PowerCut(BaseException):
    """An exception that no part of a run handles."""


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int, error: BaseException) -> None:
    """Make the next runs raise an error after a number of complete epochs, in the middle of the next epoch."""

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == epochs:
            raise error

    monkeypatch.setattr(Epochs, "on_train_batch_end", stop)


# ---- one run


def test_runs_with_the_same_seed_are_bitwise_equal_and_other_seeds_differ(tiny, tmp_path):
    one, same, other = tiny(folder="one"), tiny(folder="same"), tiny("seed=1", folder="other")
    assert same.results == one.results
    assert same.fingerprint == one.fingerprint != other.fingerprint
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "same"))
    assert not equal(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_the_configuration_is_recorded_as_plain_values_and_not_modified(compose, tmp_path):
    cfg = compose("experiment=tiny")
    before = OmegaConf.to_container(cfg, resolve=True)
    OmegaConf.set_readonly(cfg, True)
    record = run(cfg, tmp_path)
    assert OmegaConf.to_container(cfg, resolve=True) == record.config == before
    assert json.loads((tmp_path / RECORD).read_text())["config"] == before


def test_the_cost_is_recorded(tiny):
    cost = tiny().cost
    assert cost["phases"].keys() >= {"data", "train", "test"}
    assert 0 < sum(cost["phases"].values()) <= cost["seconds"] + 0.01
    assert cost["peak_memory_bytes"] > 50e6


@pytest.mark.parametrize("strategy", ["tent", "bn_adapt"])
def test_a_strategy_that_adapts_to_test_inputs_needs_transductive_true(strategy, tiny):
    assert tiny(f"strategy={strategy}").config["transductive"] is True
    with pytest.raises(LandbridgeError, match="adapts to the test inputs themselves: set transductive=true"):
        tiny(f"strategy={strategy}", "transductive=false", folder="other")


def test_an_invalid_configuration_creates_no_folder(tiny, tmp_path):
    with pytest.raises(LandbridgeError, match=r"strategy\.wieght"):
        tiny("strategy.wieght=1")
    assert not (tmp_path / "run").exists()


# ---- selection


class Second(Rule):
    """Prefers the second epoch."""

    name: ClassVar = "second"

    def score(self, evidence: ValidationOutputs) -> float:
        return -abs(evidence.epoch - 1.0)


# Steps of 1e-12 change no weight: all epochs have the same score.
@pytest.mark.parametrize("lr", [0.01, 1e-12])
def test_a_rule_selects_the_last_epoch_with_its_highest_score(lr, tiny, tmp_path):
    still = ["freeze.depth=all"] if lr < 0.01 else []
    record = tiny("selection=source_val", "trainer.max_epochs=6", f"optimizer.lr={lr}", *still)
    scores = [row["scores"]["source_val"] for row in record.epochs]
    assert lr == 0.01 or len(set(scores)) == 1
    best = max(epoch for epoch, score in enumerate(scores) if score == max(scores))
    name = LAST if best == 5 else SELECTED
    assert record.selection == {"rule": "source_val", "epoch": best, "oracle": False, "checkpoint": name}
    assert torch.load(tmp_path / "run" / name, weights_only=True)["epoch"] == best


def test_the_selected_epoch_is_tested(tiny, tmp_path):
    longer = tiny("selection._target_=test_run.Second", "trainer.max_epochs=4", folder="longer")
    shorter = tiny("trainer.max_epochs=2", folder="shorter")
    assert longer.selection == {"rule": "second", "epoch": 1, "oracle": False, "checkpoint": SELECTED}
    assert equal(weights(tmp_path / "longer", SELECTED), weights(tmp_path / "shorter"))
    assert longer.results == shorter.results


@pytest.mark.parametrize(
    ("strategy", "target_labels", "allowed", "hidden"),
    [
        ("source_only", 0, {"last", "source_val"}, {"target_val"}),
        ("dann", 2, {"last", "source_val", "target_val"}, set()),
        ("target_only", 2, {"last", "target_val"}, {"source_val"}),
    ],
)
def test_every_epoch_is_scored_by_every_rule_that_the_setting_allows(strategy, target_labels, allowed, hidden, tiny):
    record = tiny(f"strategy={strategy}", f"target_labels={target_labels}", "trainer.max_epochs=2")
    for row in record.epochs:
        assert {*allowed, "oracle"} <= row["scores"].keys()
        assert not hidden & row["scores"].keys()


@pytest.mark.parametrize(
    ("overrides", "hidden", "allowed"),
    [
        (["selection=target_val"], "target", "last, source_val"),
        (["strategy=target_only", "target_labels=1", "selection=source_val"], "source", "last, target_val"),
    ],
)
def test_a_rule_that_reads_hidden_labels_is_refused(overrides, hidden, allowed, tiny, tmp_path):
    with pytest.raises(LandbridgeError) as error:
        tiny(*overrides)
    assert str(error.value).startswith(f"{overrides[-1]} reads {hidden} labels, which this setting hides")
    assert f"it allows: {allowed}" in str(error.value)
    assert Record.read(tmp_path / "run").status == "failed"


def test_a_run_with_an_oracle_is_marked_and_keeps_the_chosen_epoch(tiny, tmp_path):
    record = tiny("selection=oracle", "trainer.max_epochs=5", "optimizer.lr=0.01", "logger=csv")
    scores = [row["scores"]["oracle"] for row in record.epochs]
    best = max(epoch for epoch, score in enumerate(scores) if score == max(scores))
    name = f"ORACLE-epoch-{best:04d}.ckpt"
    assert record.selection == {"rule": "oracle", "epoch": best, "oracle": True, "checkpoint": name}
    assert sorted(path.name for path in (tmp_path / "run").rglob("*.ckpt")) == [name, LAST]
    assert torch.load(tmp_path / "run" / name, weights_only=True)["epoch"] == best
    header = (tmp_path / "run/csv/version_0/metrics.csv").read_text().splitlines()[0].split(",")
    assert "oracle/target/accuracy" in header
    assert not any(key.startswith("test/") for key in header)


def test_an_oracle_does_not_read_test_labels(tiny, tmp_path):
    oracle = ["selection=oracle", "trainer.max_epochs=4", "optimizer.lr=0.01"]
    honest = tiny(*oracle, folder="honest")
    permuted = tiny(*oracle, "target._target_=dusk.lying", "target.splits=[test]", folder="permuted")
    assert [row["scores"] for row in permuted.epochs] == [row["scores"] for row in honest.epochs]
    assert permuted.selection == honest.selection
    assert permuted.results["target"]["correct"] != honest.results["target"]["correct"]
    chosen = honest.selection["checkpoint"]
    assert equal(weights(tmp_path / "permuted", chosen), weights(tmp_path / "honest", chosen))


# ---- failures


@pytest.mark.parametrize(
    ("steps", "epochs", "where"), [(1, 1, "predictions for"), (2, 1, "the loss term supervised"), (1, 3, "supervised")]
)
def test_a_run_that_diverges_fails_and_records_the_reason(steps, epochs, where, tiny, tmp_path):
    length = [f"data.steps_per_epoch={steps}", f"trainer.max_epochs={epochs}"]
    with pytest.raises(LandbridgeError, match=r"training diverged"):
        tiny("optimizer=sgd", "optimizer.lr=1e30", *length)
    record = Record.read(tmp_path / "run")
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("LandbridgeError: training diverged")
    assert where in record.reason
    assert "optimizer.lr" in record.reason
    assert not record.results


def test_a_failure_before_training_is_recorded(tiny, tmp_path):
    with pytest.raises(LandbridgeError, match="only the source has 0, 1"):
        tiny("source=uci_digits")
    record = Record.read(tmp_path / "run")
    assert record.status == "failed"
    assert record.reason is not None
    assert "must have the same classes" in record.reason


def test_a_full_disk_fails_the_run_and_is_recorded(tiny, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file may be large enough for a record, but not for a checkpoint.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))
    try:
        with pytest.raises(LandbridgeError, match=r"cannot write a checkpoint to .*: File too large"):
            tiny("selection=source_val")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in (Record.read(tmp_path / "run").reason or "")


# ---- again in the same folder


def test_the_record_of_a_finished_run_is_returned_without_training(tiny, monkeypatch):
    first = tiny()

    def fit(*arguments, **options):
        raise AssertionError("the run trains again")

    monkeypatch.setattr(Trainer, "fit", fit)
    assert tiny() == first


@pytest.mark.parametrize("overrides", [["seed=1"], ["source=uci_digits"]])
def test_the_folder_of_another_run_is_refused_and_not_changed(overrides, tiny, tmp_path):
    tiny()
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(LandbridgeError, match=r"holds the record of another run|same classes"):
        tiny(*overrides)
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before


def test_an_interrupted_run_is_recorded_and_can_be_resumed(tiny, tmp_path):
    straight = tiny("trainer.max_epochs=3", folder="straight")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 2, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny("trainer.max_epochs=3")
    record = Record.read(tmp_path / "run")
    assert (record.status, record.reason, len(record.epochs)) == ("failed", "interrupted", 2)
    record.cost["seconds"] += 1000
    record.cost["phases"]["train"] += 900
    record.write(tmp_path / "run")
    resumed = tiny("trainer.max_epochs=3")
    assert resumed.results == straight.results
    assert 1000 < resumed.cost["seconds"] < 1100, "the cost must include earlier sessions"
    assert 900 < resumed.cost["phases"]["train"] < 1000


def test_the_fingerprint_depends_on_the_content_and_not_on_the_path_of_the_initial_checkpoint(tiny, tmp_path):
    for seed in (1, 2):
        tiny(f"seed={seed}", folder=f"start-{seed}")
    a, b = tmp_path / "a.ckpt", tmp_path / "b.ckpt"

    def start(path: Path) -> str | None:
        return tiny("start=checkpoint", f"start.path={path}", folder=f"run-{path.stem}").fingerprint

    shutil.copy(tmp_path / "start-1" / LAST, a)
    shutil.copy(a, b)
    assert start(a) == start(b)
    shutil.copy(tmp_path / "start-2" / LAST, a)
    with pytest.raises(LandbridgeError, match="holds the record of another run"):
        start(a)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_dann_trains_in_double_and_in_mixed_precision(precision, tiny):
    assert tiny("strategy=dann", f"trainer.precision={precision}").status == "done"


def test_weights_in_half_precision_are_refused(tiny):
    with pytest.raises(LandbridgeError, match="nearest: bf16-mixed"):
        tiny("trainer.precision=bf16-true")


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_with_a_damaged_checkpoint_training_starts_from_the_beginning(damage, tiny, tmp_path, monkeypatch, caplog):
    straight = tiny("trainer.max_epochs=2", folder="straight")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1, PowerCut())
        with pytest.raises(PowerCut):
            tiny("trainer.max_epochs=2")
    checkpoint = tmp_path / "run" / LAST
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000] if damage is None else damage)
    record = tiny("trainer.max_epochs=2")
    assert "is damaged" in caplog.text
    assert record.results == straight.results
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "straight"))


@pytest.mark.parametrize(("every", "moments_in_all"), [(0, 9), (3, 7), (1000, 5)])
def test_an_interruption_at_any_replacement_of_a_file_does_not_change_the_result(
    every, moments_in_all, tiny, tmp_path, monkeypatch
):
    # This clock advances by one second at every call, so once or twice in an epoch. `checkpoint_every=3` writes some
    # epochs, and 1000 writes the last epoch only.
    monkeypatch.setattr("landbridge.run.checkpoints.time", SimpleNamespace(monotonic=itertools.count().__next__))
    overrides = ["selection._target_=test_run.Second", "trainer.max_epochs=4", f"checkpoint_every={every}"]
    straight = tiny(*overrides, folder="straight")
    replace = Path.replace
    moment, cut_off = 0, True
    while cut_off:
        moments = itertools.count()

        def cut(path: Path, destination: Path, moment=moment, moments=moments) -> Path:
            if next(moments) >= moment:
                raise PowerCut
            return replace(path, destination)

        folder = f"cut-{moment}"
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(PowerCut):
            patch.setattr(Path, "replace", cut)
            tiny(*overrides, folder=folder)
            cut_off = False
        record = tiny(*overrides, folder=folder)
        assert record.selection == straight.selection, folder
        assert record.results == straight.results, folder
        for name in (LAST, SELECTED):
            assert equal(weights(tmp_path / folder, name), weights(tmp_path / "straight", name)), folder
        moment += 1
    assert moment > moments_in_all


def test_an_epoch_kept_in_memory_is_written_unchanged(tiny, tmp_path):
    overrides = ["selection._target_=test_run.Second", "trainer.max_epochs=4", "strategy=dann", "averaging=ema"]
    for every in (0, 1000):
        tiny(*overrides, f"checkpoint_every={every}", folder=str(every))
    for name in (LAST, SELECTED):
        at_once, waited = (torch.load(tmp_path / every / name, weights_only=True) for every in ("0", "1000"))
        assert at_once.keys() == waited.keys()
        assert at_once["epoch"] == waited["epoch"] == (1 if name == SELECTED else 3)
        for part in ("state_dict", "optimizer_states", "current_model_state"):
            torch.testing.assert_close(at_once[part], waited[part], rtol=0, atol=0)


@pytest.mark.parametrize("strategy", ["nearest_mean", "adabn"])
def test_a_strategy_that_ends_training_early_leaves_a_checkpoint(strategy, tiny, tmp_path):
    source = ["start=source", f"start.cache={tmp_path}"] if strategy == "adabn" else ["target_labels=2"]
    record = tiny(f"strategy={strategy}", *source, "trainer.max_epochs=5", "checkpoint_every=1000")
    assert len(record.epochs) == 1
    assert (tmp_path / "run" / record.selection["checkpoint"]).exists()


def test_short_epochs_do_not_write_a_checkpoint_each(tiny, tmp_path, monkeypatch):
    written = []
    save = Trainer.save_checkpoint
    monkeypatch.setattr(Trainer, "save_checkpoint", lambda self, *args: written.append(save(self, *args)))
    for every, number in ((0, 5), (1000, 1)):
        written.clear()
        record = tiny("trainer.max_epochs=5", f"checkpoint_every={every}", folder=str(every))
        assert len(record.epochs) == 5
        assert len(written) == number


def test_a_hard_linked_checkpoint_is_replaced_and_not_overwritten(tiny, tmp_path):
    overrides = ["selection._target_=test_run.Second", "trainer.max_epochs=4"]
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny(*overrides)
    selected = tmp_path / "run" / SELECTED
    before = selected.read_bytes()
    # The state after a power failure between the two renames: one file has both names.
    (tmp_path / "run" / f"{LAST}.part").hardlink_to(selected)
    record = tiny(*overrides)
    assert len(record.epochs) == 4
    assert selected.read_bytes() == before
    assert torch.load(tmp_path / "run" / LAST, weights_only=True)["epoch"] == 3


# ---- loggers


def flat(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    numbers = {f"test/{role}/{key}": value for role, each in results.items() for key, value in each.items()}
    return {key: value for key, value in numbers.items() if isinstance(value, float)}


def test_the_csv_log_has_epochs_test_metrics_and_the_configuration(tiny, tmp_path):
    record = tiny("logger=csv", "trainer.max_epochs=2")
    folder = tmp_path / "run" / "csv" / "version_0"
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for key in record.epochs[0]["losses"]:
        logged = [float(row[f"train/{key}"]) for row in rows if row[f"train/{key}"]]
        assert logged == pytest.approx([row["losses"][key] for row in record.epochs])
    logged = [float(row["val/source_val"]) for row in rows if row["val/source_val"]]
    assert logged == pytest.approx([row["scores"]["source_val"] for row in record.epochs])
    assert {key: float(rows[-1][key]) for key in flat(record.results)} == pytest.approx(flat(record.results))
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == record.config


def test_tensorboard_reads_the_logged_metrics(tiny, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record = tiny("logger=tensorboard")
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard" / "version_0")).Reload()
    for key, value in flat(record.results).items():
        assert [event.value for event in events.Scalars(key)] == pytest.approx([value])
    assert events.Scalars("train/supervised")[0].value == pytest.approx(record.epochs[0]["losses"]["supervised"])


def wandb_records(path: Path) -> Iterator[Any]:
    """Yield the messages of an offline wandb run. The file has the format of LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record as Message

    content, at, part = path.read_bytes(), 7, b""
    while at < len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        if at + 7 > len(content):  # wandb is still writing
            return
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        if at + 7 + size > len(content):
            return
        part += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Message.FromString(part)
            part = b""


def wandb_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Return configuration, summary and exit code of the only wandb run in a folder."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    # A separate process of wandb writes the file. It may still write after the run has ended.
    deadline = time.monotonic() + 30
    while not any(message.WhichOneof("record_type") == "exit" for message in wandb_records(path)):
        assert time.monotonic() < deadline, "wandb did not write the end of the run"
        time.sleep(0.05)
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    code = -1
    for message in wandb_records(path):
        # Settings from before the start of wandb are in the message that starts the run.
        parts = ((config, message.run.config), (config, message.config), (summary, message.summary))
        for kept, items in ((kept, part.update) for kept, part in parts):
            kept |= {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
        if message.WhichOneof("record_type") == "exit":
            code = message.exit.exit_code
    return config, summary, code


def test_every_run_is_a_separate_wandb_run_also_if_it_fails(tiny, tmp_path):
    pytest.importorskip("wandb")
    for seed in (0, 1):
        record = tiny("logger=wandb", f"seed={seed}", "name=mine", folder=str(seed))
        config, summary, code = wandb_run(tmp_path / str(seed))
        assert config["seed"] == seed
        assert config["logger"]["group"] == config["name"] == "mine"
        assert {key: summary[key] for key in flat(record.results)} == pytest.approx(flat(record.results))
        assert code == 0
    with pytest.raises(LandbridgeError):
        tiny("logger=wandb", "optimizer=sgd", "optimizer.lr=1e30", folder="failed")
    config, summary, code = wandb_run(tmp_path / "failed")
    assert config["seed"] == 0
    assert code == 1


def test_an_interrupted_run_goes_on_as_the_same_wandb_run(tiny, tmp_path):
    pytest.importorskip("wandb")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny("logger=wandb", "trainer.max_epochs=2", folder="one")
    time.sleep(1.1)  # wandb names the folder of a session by the second of its start
    tiny("logger=wandb", "trainer.max_epochs=2", folder="one")
    tiny("logger=wandb", "trainer.max_epochs=2", folder="other")
    tiny("logger=wandb", "logger.id=mine", folder="named")
    sessions = {
        name: [path.name.rpartition("-")[2] for path in tmp_path.glob(f"{name}/wandb/offline-run-*")]
        for name in ("one", "other", "named")
    }
    assert len(sessions["one"]) == 2
    assert len({*sessions["one"]}) == 1
    assert {*sessions["other"]} != {*sessions["one"]}
    assert sessions["named"] == ["mine"]
