"""Properties of every strategy. The tests are generated from the folder `conf/strategy/`."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from hydra.utils import get_class

from landbridge.cli.config_sources import conf_folder
from landbridge.config.build import build
from landbridge.record import Record
from landbridge.run.checkpoints import LAST, SELECTED
from landbridge.run.epochs import Epochs
from landbridge.strategies import Requirements
from raw_labels import KINDS, garbled

TESTS = Path(__file__).parents[1]
EVERY = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml"))
#: Those that serve classes. Ridge regression predicts numbers only; `test_ridge` runs it.
STRATEGIES = [name for name in EVERY if name != "ridge"]
# Strategies whose number of epochs differs from the two planned ones.
EPOCHS = {
    "adabn": 1,
    "as_is": 0,
    "bn_adapt": 0,
    "knn": 1,
    "linear_probes": 4,
    "logistic": 1,
    "nearest_mean": 1,
    "soup": 1,
    "tent": 0,
    "wise_ft": 4,
}


def streams_and_facts(cfg: Any) -> Requirements:
    method: Any = get_class(cfg.strategy._target_)
    return method.requirements


@pytest.fixture
def setting(compose, tiny, tmp_path):
    """The overrides that give a strategy the streams it needs, and a selection rule that reads all visible labels."""

    def overrides(strategy: str, budget: str | int, *domains: str, cache: Path = tmp_path) -> list[str]:
        cfg = compose("experiment=tiny", f"strategy={strategy}")
        needs = streams_and_facts(cfg)
        # The smallest possible number of labels: 0 if the strategy does not need the labelled target stream.
        labels = int("target" in needs.streams) if budget == "fewest" else budget
        rule = "target_val" if labels else "source_val" if "source" in needs.streams else "last"
        from_source = needs.source_model or needs.source_classifier or needs.looks_back or strategy == "l2_sp"
        start = ["start=source", "start.max_epochs=1", f"start.cache={cache}"] if from_source else []
        if strategy == "wise_ft":
            start.append("strategy.points=2")
        if strategy == "linear_probes":
            start.append("strategy.factors=[30.0]")
        if strategy == "soup":
            # Runs of several seeds would have several splits of the target, and no soup may mix those.
            sweep = Path(mkdtemp(dir=tmp_path))
            for rate in (0.001, 0.01):
                tiny(f"optimizer.lr={rate}", *domains, folder=f"{sweep.name}/{rate}")
            start = [
                f"strategy.folder={sweep}",
                "strategy.how=greedy" if labels else "strategy.how=uniform",
            ]
        return [f"strategy={strategy}", f"target_labels={labels}", f"selection={rule}", *domains, *start]

    return overrides


def content(folder: Path, name: str = LAST) -> dict:
    """Read a checkpoint. It must not contain code."""
    return torch.load(folder / name, map_location="cpu", weights_only=True)


def differences(a: Any, b: Any, where: str = "", tolerance: float = 0.0) -> list[str]:
    """Return the places in which two checkpoints or records differ. Times are not compared.

    Args:
        a: one of them.
        b: the other.
        where: they lie, for the names.
        tolerance: how much numbers that are no integers may differ, relatively and absolutely.
    """
    if isinstance(a, torch.Tensor):
        alike = isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape
        close = tolerance if a.is_floating_point() else 0.0
        return [] if alike and torch.allclose(a, b, rtol=close, atol=close, equal_nan=True) else [where]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a if key != "seconds" for d in differences(a[key], b[key], f"{where}.{key}", tolerance)]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [d for i, (x, y) in pairs for d in differences(x, y, f"{where}[{i}]", tolerance)]
    if isinstance(a, float) and isinstance(b, float) and tolerance:
        return [] if math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) else [where]
    return [] if a == b else [where]


def logged(folder: Path) -> list[dict[str, str]]:
    """Read the log of training without oracle scores, because the final test may read all labels."""
    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if not key.startswith("test/")} for row in rows]


def without_oracle(rows: list[dict]) -> list[dict]:
    kept = [{key: {**row[key]} for key in ("scores", "halves")} for row in rows]
    for scores in (scores for each in kept for scores in each.values()):
        scores.pop("oracle", None)
    return [row | own for row, own in zip(rows, kept, strict=True)]


@pytest.fixture
def trains_alike_on_garbage(setting, tiny, compose, tmp_path):
    """Return a function that trains twice, also with garbage in the hidden labels of raw data, and compares all of it.

    The function returns the record of the run with true labels.
    """

    def compare(strategy: str, budget: str | int, kind: str) -> Record:
        truth, write = KINDS[kind]

        def overrides(name: str, labels: list[int]) -> list[str]:
            (tmp_path / name).mkdir()
            domains = write(tmp_path / name, labels)
            return [*setting(strategy, budget, *domains), "logger=csv", "trainer.max_epochs=2"]

        typed = overrides("true", truth)
        labels = typed[1].partition("=")[2]
        domain = build(compose("experiment=tiny", *typed).target)
        garbage_labels = garbled(domain, truth, labels if labels == "all" else int(labels))
        honest = tiny(*typed, folder="honest")
        garbage = tiny(*overrides("false", garbage_labels), folder="garbage")
        assert garbage.data["target"]["fingerprint"] != honest.data["target"]["fingerprint"]
        assert garbage.results["target"]["items"] == honest.results["target"]["items"]
        assert garbage.results["target"]["correct"] != honest.results["target"]["correct"]
        checkpoints = {path.name for path in (tmp_path / "honest").rglob("*.ckpt")}
        assert ({LAST} if honest.epochs else set()) <= checkpoints <= {LAST, SELECTED}  # names have no slash
        for name in checkpoints:
            assert not differences(content(tmp_path / "garbage", name), content(tmp_path / "honest", name))
        assert not differences(without_oracle(garbage.epochs), without_oracle(honest.epochs))
        assert garbage.selection == honest.selection
        assert logged(tmp_path / "garbage") == logged(tmp_path / "honest")
        return honest

    return compare


@pytest.mark.parametrize("budget", ["fewest", 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hidden_labels_change_only_the_final_test(strategy, budget, trains_alike_on_garbage):
    honest = trains_alike_on_garbage(strategy, budget, "images in memory")
    assert honest.status == "done"
    assert {role: result["n"] for role, result in honest.results.items()} == dict.fromkeys(honest.results, 12)
    assert len(honest.epochs) == EPOCHS.get(strategy, 2)
    assert all(isinstance(value, float) for row in honest.epochs for value in row["losses"].values())


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if EPOCHS.get(name, 2) > 1])
def test_a_resumed_run_equals_an_uninterrupted_one(strategy, setting, tiny, tmp_path):
    overrides = [*setting(strategy, 2), "trainer.max_epochs=3", "scheduler=inverse_decay", "optimizer=adam"]
    straight = tiny(*overrides, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*overrides, folder="resumed")
    assert len(content(tmp_path / "resumed")["callbacks"]["Epochs"]["rows"]) == 2

    resumed = tiny(*overrides, folder="resumed")
    assert not differences(content(tmp_path / "resumed"), content(tmp_path / "straight"))
    assert not differences(resumed.epochs, straight.epochs)
    assert resumed.selection == straight.selection
    assert resumed.results == straight.results
    assert resumed.cost["passes"] == straight.cost["passes"] > 0


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_results_with_and_without_a_cache_are_equal(strategy, setting, compose, tiny, tmp_path):
    overrides = [*setting(strategy, 2), "freeze.depth=1", "data.steps_per_epoch=3"]
    without = tiny(*overrides, folder="without")
    cached = tiny(*overrides, "cache=activations", f"cache.path={tmp_path / 'store'}", folder="cached")
    kept = not streams_and_facts(compose(*overrides)).replaces_weights
    assert (cached.cost["cache"]["depth"] > 0) == kept
    assert (cached.cost["cache"]["computed"] > 0) == kept
    assert cached.fingerprint == without.fingerprint
    assert not differences(cached.results, without.results, tolerance=1e-5)
    if without.epochs:
        # This compares weights, losses, scores, optimizers, and the states of all random generators.
        assert not differences(content(tmp_path / "cached"), content(tmp_path / "without"), tolerance=1e-5)


# One adaptation method, and one method that trains a source model first and uses it in training.
@pytest.mark.long
@pytest.mark.parametrize("strategy", ["dann", "lwf"])
def test_two_processes_have_equal_weights(strategy, setting, tmp_path):
    overrides = [*setting(strategy, 2), "freeze.depth=1", "optimizer._target_=dusk.Witness", "hydra.run.dir=out"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "landbridge", "--config-dir", str(TESTS / "conf"), "experiment=tiny", *overrides]
    subprocess.run(
        [*command, "trainer.devices=2", "trainer.strategy=ddp"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    one, other = ((tmp_path / f"weights-{rank}.txt").read_text().splitlines() for rank in (0, 1))
    assert len(set(other)) == 2
    assert one[-2:] == other  # the first process has trained the source model
    record = Record.read(tmp_path / "out")
    assert record.status == "done"
    assert [result["n"] for result in record.results.values()] == [12, 12]
