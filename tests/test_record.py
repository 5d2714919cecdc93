"""The record: it is written completely or not at all, read with clear errors, and has a fingerprint."""

import copy
import json
import math
import threading
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from landbridge.config.signatures import locate, read_signature
from landbridge.errors import LandbridgeError
from landbridge.record import (
    RECORD,
    Record,
    best_epoch,
    environment,
    fingerprint,
    machine,
    old_names,
    peak_memory_bytes,
)
from landbridge.record.schema import _Record
from landbridge.strategies.terms import TERMS

FULL = Record(
    status="done",
    fingerprint="abc",
    overrides=["seed=1"],
    config={"seed": 1, "data": {"batch_size": None}},
    data={"target": {"name": "dusk"}},
    selection={"rule": "last", "epoch": 0},
    results={"target": {"accuracy": 0.5, "n": 12}},
    epochs=[{"epoch": 0, "losses": {"supervised": 1e-300}, "scores": {"last": float("inf")}}],
)


def test_a_written_record_is_read_back(tmp_path):
    FULL.write(tmp_path)
    assert Record.read(tmp_path) == Record.read(tmp_path / RECORD) == FULL
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


# ---- writing


@pytest.mark.parametrize("stops_in", ["write_text", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_does_not_damage_the_earlier_record(stops_in, error, tmp_path, monkeypatch):
    FULL.write(tmp_path)

    def stop(path: Path, content: Any) -> None:
        if stops_in == "write_text":
            path.write_bytes(content[: len(content) // 2].encode())
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, stops_in, stop)
        with pytest.raises((LandbridgeError, KeyboardInterrupt)) as caught:
            Record(status="failed").write(tmp_path)
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {tmp_path / RECORD}: No space left on device"
    assert Record.read(tmp_path) == FULL
    FULL.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_a_reader_never_reads_half_a_record(tmp_path):
    FULL.write(tmp_path)
    long = Record(overrides=["x" * 50] * 2000)
    done = threading.Event()

    def write() -> None:
        for turn in range(40):
            (long if turn % 2 else FULL).write(tmp_path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set() or not reads:
        assert Record.read(tmp_path) in (FULL, long)
        reads += 1
    writer.join()


# ---- reading


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no record at"),
        ('{"schema": 2, "status": "do', "cannot be read: Unterminated string"),
        ("", "cannot be read: Expecting value"),
        ("[1, 2]", "has schema None, this landbridge reads 2"),
        ("{}", "has schema None, this landbridge reads 2"),
        ('{"schema": 3}', "has schema 3, this landbridge reads 2"),
        ('{"schema": 2, "zeal": {}, "sealed": {}}', "has unknown entries: sealed, zeal"),
    ],
)
def test_an_unreadable_record_is_refused_with_its_path(content, message, tmp_path):
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    with pytest.raises(LandbridgeError, match=message) as error:
        Record.read(tmp_path)
    assert str(tmp_path / RECORD) in str(error.value)


def test_a_record_that_lacks_entries_gets_their_defaults(tmp_path):
    (tmp_path / RECORD).write_text('{"schema": 2, "status": "failed"}')
    assert Record.read(tmp_path) == Record(status="failed")


# ---- the best epoch and its score


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([1.0, 3.0, 2.0], 1),
        ([3.0, 1.0, 3.0], 2),
        ([0.5, 0.5, 0.5], 2),
        ([math.nan, 1.0, math.nan], 1),
        ([1.0, math.nan], 0),
        ([math.nan, -5.0, math.nan], 1),
        ([math.nan, math.nan], 1),
        ([-math.inf, -5.0], 1),
        ([0.0], 0),
    ],
)
@pytest.mark.parametrize("kind", [list, np.array])
def test_the_best_epoch_is_the_last_of_equal_epochs_and_nan_is_the_worst_score(kind, scores, best):
    assert best_epoch(kind(scores)) == best


@pytest.mark.parametrize(
    ("selection", "score"),
    [
        ({"rule": "im", "epoch": 0}, 0.9),
        ({"rule": "im", "epoch": 1}, 0.2),
        ({"rule": "last", "epoch": 1}, None),
        ({}, None),
    ],
)
def test_the_score_of_a_run_is_the_score_of_the_selected_epoch_under_its_rule(selection, score):
    epochs = [{"scores": {"im": 0.9, "oracle": 0.1}}, {"scores": {"im": 0.2, "oracle": 0.8}}]
    assert Record(selection=selection, epochs=epochs).score() == score


# ---- the fingerprint

DATA = {"source": "s", "target": "t"}
INCIDENTAL = (
    *("name", "logger", "checkpoint_every", "continues", "cache", "data.workers", "task._target_"),
    *("trainer.accelerator", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
)


@pytest.fixture(scope="module")
def config(compose) -> dict[str, Any]:
    cfg = compose("seed=3", "trainer.enable_progress_bar=true", "data.workers=1", "target.size=16")
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def leaves(node: Any, path: str = "") -> list[str]:
    if not isinstance(node, dict) or not node:
        return [path]
    return [leaf for key, value in node.items() for leaf in leaves(value, f"{path}.{key}".lstrip("."))]


def test_the_fingerprint_changes_with_every_setting_except_incidental_ones(config):
    own = fingerprint(config, DATA)
    assert len(leaves(config)) > 20
    for leaf in leaves(config):
        changed = OmegaConf.create(copy.deepcopy(config))
        OmegaConf.update(changed, leaf, "another")
        other = fingerprint(OmegaConf.to_container(changed), DATA)  # type: ignore[arg-type]
        assert (other == own) == leaf.startswith(INCIDENTAL), leaf


def test_views_are_the_only_setting_of_the_cache_that_changes_the_fingerprint(config):
    def of(**cache):
        return fingerprint(
            {**config, "cache": {"_target_": "landbridge.activation_cache.ActivationCache", **cache}}, DATA
        )

    assert of(path="elsewhere", size=1) == fingerprint({**config, "cache": None}, DATA) == of()
    assert len({of(), of(views=1), of(views=2, path="elsewhere"), of(views=2)}) == 3


def test_the_fingerprint_does_not_depend_on_the_order_of_keys(config):
    assert fingerprint(dict(reversed(config.items())), dict(reversed(DATA.items()))) == fingerprint(config, DATA)


def test_the_fingerprint_changes_with_the_content_of_the_data(config):
    prints = {fingerprint(config, DATA | change) for change in ({}, {"source": "x"}, {"target": "x"})}
    assert len(prints) == 3


def test_an_unused_source_does_not_change_the_fingerprint(config):
    target = {"target": "t"}
    assert fingerprint(config, target) == fingerprint(config | {"source": {"_target_": "x"}}, target)
    assert fingerprint(config, target) != fingerprint(config, DATA)


def test_runs_that_differ_in_incidental_settings_have_the_same_fingerprint(tiny):
    plain = tiny("strategy=target_only", "target_labels=2", folder="plain")
    same = tiny("strategy=target_only", "target_labels=2", "name=other", "source=mnist_5k", "logger=csv", folder="same")
    other = tiny("strategy=target_only", "target_labels=2", "seed=1", folder="other")
    assert same.fingerprint == plain.fingerprint != other.fingerprint


# ---- environment and memory


def test_the_environment_has_versions_and_hardware():
    found = environment()
    assert found["versions"]["torch"] == version("torch")
    assert found["versions"]["pytorch-lightning"] == version("pytorch-lightning")
    assert found["cpus"] >= 1
    assert found["threads"] == 1
    json.dumps(found)


def test_without_git_the_environment_has_no_revision(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(machine, "_git_revision", machine._git_revision.__wrapped__)
    assert environment()["git"] is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_peak_memory_is_in_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    assert peak_memory_bytes()["peak_memory_bytes"] == pytest.approx(peak, rel=0.1)


def test_a_record_has_the_entries_that_scripts_read():
    skeleton = {"schema", "status", "fingerprint", "overrides", "config", "selection", "results", "cost", "epochs"}
    assert skeleton <= asdict(Record()).keys()


def test_the_schema_knows_every_entry_of_a_record(tmp_path):
    # An entry that only one of the two knows would make every new record unreadable.
    assert _Record.model_fields.keys() | {"schema"} == asdict(Record()).keys()
    Record().write(tmp_path)
    assert Record.read(tmp_path) == Record()


def test_losses_with_old_names_are_read_with_the_new_ones(tmp_path):
    losses = {"classify": 1.0, "classify_strong": 2.0, "+mcc": 3.0}
    Record(epochs=[{"epoch": 0, "losses": losses, "scores": {"last": 0.0}}]).write(tmp_path)
    (first,) = Record.read(tmp_path).epochs
    assert first == {
        "epoch": 0,
        "losses": {"supervised": 1.0, "supervised_strong": 2.0, "+mcc": 3.0},
        "scores": {"last": 0.0},
    }


def test_a_record_with_old_names_is_read_with_the_new_ones(tmp_path):
    old = {
        "target": {
            "_target_": "landbridge.data.altered.altered",
            "domain": {"_target_": "landbridge.data.digits.mnist_5k"},
        },
        "start": {"_target_": "landbridge.start.Scratch"},
        "strategy": {"_target_": "landbridge.strategies.DANN"},
    }
    Record(config=old).write(tmp_path)
    config = Record.read(tmp_path).config
    assert config["target"]["_target_"] == "landbridge.data.sources.altered.altered"
    assert config["target"]["domain"]["_target_"] == "landbridge.data.sources.digits.mnist_5k"
    assert config["start"]["_target_"] == "landbridge.models.start.Scratch"
    assert config["strategy"]["_target_"] == "landbridge.strategies.DANN"


@pytest.mark.parametrize("name", sorted(old_names.RENAMED.values()))
def test_all_new_names_exist(name):
    locate(name)


def test_a_strategy_that_is_a_term_now_is_read_as_a_term():
    def read(**node):
        return old_names.with_new_names({"strategy": node})["strategy"]

    base = "landbridge.strategies"
    assert read(_target_=f"{base}.MCC", weight=1.0, temperature=2.5, gather=True) == {
        "_target_": f"{base}.Supervised",
        "gather": True,
        "terms": {"mcc": {"ramp": "dann", "weight": 1.0, "temperature": 2.5}},
    }
    assert read(_target_=f"{base}.BSP", spectral_weight=0.1, weight=2.0) == {
        "_target_": f"{base}.DANN",
        "weight": 2.0,
        "terms": {"bsp": {"weight": 0.1}},
    }
    for strategy, term, settings, renamed in old_names.NOW_TERMS.values():
        locate(f"{base}.{strategy}")
        assert {*settings, *renamed.values()} <= {*read_signature(TERMS[term]).hints}
