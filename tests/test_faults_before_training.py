"""Faults of a run are found before anything expensive: a source model, a cache of activations, the jobs of a sweep."""

import logging
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from landbridge.config.check import check
from landbridge.errors import LandbridgeError
from landbridge.models.start import Source
from landbridge.record import Record
from landbridge.run.progress import Progress
from landbridge.sweeps import rehearsal

# Each is valid by itself, and wrong in combination with the network or the strategy of the run.
FAULTS = {
    "freeze.depth=99": ("strategy=shot", "larger than the number of stages: the backbone has 2 stages"),
    "freeze.depth=all": ("strategy=shot", "SHOT: nothing is left to train"),
    "freeze=gradual trainer.max_epochs=3": ("strategy=shot", "nothing trains in epoch 1"),
    "freeze=surgical freeze.stages=[cnv]": ("strategy=dann", "no stage cnv, nearest: conv"),
    "tuning=lora tuning.targets=[qkv]": ("strategy=dann", "no layer's name ends with 'qkv'"),
    "averaging=ema": ("strategy=adabn", "AdaBN sets its weights itself"),
    "trainer.accumulate_grad_batches=2": ("strategy=mcd", "MCD makes its optimizer steps itself"),
    "terms=[l2_sp] optimizer.weight_decay=0.1": ("strategy=source_only", "set optimizer.weight_decay=0"),
    "selection=target_val": ("strategy=shot", "reads target labels, which this setting hides"),
    "trainer.max_epochs=1 freeze=linear_then_full": ("strategy=dann", "two phases need trainer.max_epochs"),
    "trainer.strategy=nonsense": ("strategy=dann", "trainer.strategy=nonsense: "),
}
#: Those that need data or a trainer are found by the run and not by the check of a sweep.
OF_THE_RUN = {"selection=target_val", "trainer.strategy=nonsense"}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_source_model_is_trained_for_a_run_that_cannot_begin(fault, tiny, tmp_path):
    strategy, message = FAULTS[fault]
    with pytest.raises(LandbridgeError, match=message.replace("(", r"\(")):
        tiny(strategy, *fault.split(), "start=source", f"start.cache={tmp_path / 'models'}")
    assert not list(tmp_path.glob("models/*/record.json"))
    assert Record.read(tmp_path / "run").status == "failed"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in OF_THE_RUN])
def test_the_check_of_a_sweep_finds_the_same_faults(fault, compose):
    strategy, message = FAULTS[fault]
    cfg = compose("experiment=tiny", strategy, *fault.split(), "start=source")
    check(cfg)
    with pytest.raises(LandbridgeError, match=message):
        rehearsal.rehearse(cfg)


def test_a_sweep_reports_a_fault_of_the_network_and_starts_no_job(sweep):
    code, told = sweep("seed=1,2", "freeze.depth=0,99", "hydra.launcher.dry_run=true")
    assert code == 1
    assert "2 of 4 jobs cannot run, so none was started" in told
    assert "freeze.depth=99 is larger than the number of stages" in told


def test_learning_rates_and_seeds_do_not_build_the_network_again(compose, monkeypatch):
    built = []
    monkeypatch.setattr(rehearsal, "_fault", built.append)
    monkeypatch.setattr(rehearsal, "_known", {})
    for more in ("seed=1", "seed=2", "optimizer.lr=0.5", "target_labels=3", "freeze.depth=1"):
        rehearsal.rehearse(compose("experiment=tiny", more))
    assert len(built) == 2


def test_activations_are_not_computed_for_a_run_without_anything_to_train(tiny, tmp_path):
    store = ("cache=activations", f"cache.path={tmp_path / 'store'}")
    tiny("strategy=source_only", folder="source")
    with pytest.raises(LandbridgeError, match="nothing is left to train"):
        tiny("strategy=shot", "freeze.depth=all", "start=checkpoint", f"start.path={tmp_path}/source/last.ckpt", *store)
    assert not list(tmp_path.glob("store/**/*.*"))


# ---- what a run says while its source model trains


def test_a_run_says_that_it_trains_a_source_model(tiny, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for folder in ("first", "second"):
        tiny("strategy=shot", "start=source", f"start.cache={tmp_path / 'models'}", folder=folder)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("start: trains the")]
    (model,) = (tmp_path / "models").iterdir()
    assert told == [f"start: trains the source model first, 1 epochs, in {model}"]


def test_a_run_says_that_it_waits_for_a_source_model(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    holds = threading.Event()

    def other() -> None:
        with FileLock(tmp_path / ".lock"):
            holds.set()
            time.sleep(0.3)

    thread = threading.Thread(target=other)
    thread.start()
    holds.wait()
    Source()._locked(Path(tmp_path)).lock.release()
    thread.join()
    assert "another run trains the same source model" in caplog.text


def test_progress_is_logged_now_and_then(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    now = iter([0.0, 10.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr("landbridge.run.progress.time.monotonic", lambda: next(now))
    progress = Progress("source_model", 12)
    for done in (5, 6, 7, 8):  # an earlier session has done four
        progress(done)
    assert [record.getMessage() for record in caplog.records] == [
        "source_model: epoch 6 of 12, about 0:01:33 left",
        "source_model: epoch 8 of 12, about 0:01:02 left",
    ]
