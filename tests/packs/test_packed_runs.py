"""Members of a pack equal single runs, whatever else is in the pack, and wherever they are interrupted."""

import os
import signal
from collections.abc import Sequence
from dataclasses import asdict

import pytest
import torch
from packing import Packing

from landbridge.data.streams import StreamIndices
from landbridge.packs import pack
from landbridge.packs.epoch import train_together
from landbridge.record import Record, unpack_scores
from landbridge.run.checkpoints import LAST
from landbridge.run.run import run
from strategies.test_every_strategy import differences

RATES = (["optimizer.lr=0.01", "seed=0"], ["optimizer.lr=0.1", "seed=1"], ["optimizer.lr=0.003", "seed=0"])
#: Common overrides, and those in which the members differ if they are not `RATES`.
CASES: dict[str, tuple[str, Sequence[Sequence[str]]]] = {
    "adam": ("", RATES),
    "adamw, cosine, warm-up": (
        "optimizer=adamw scheduler=cosine scheduler.warmup=0.3",
        (*RATES[:2], ["optimizer.weight_decay=0.5", "seed=3"]),
    ),
    "sgd, clipped": (
        "optimizer=sgd trainer.gradient_clip_val=0.05 scheduler=inverse_decay",
        (["optimizer.momentum=0.5"], ["optimizer.weight_decay=0.2", "seed=4"], ["seed=5"]),
    ),
    "plain sgd, clipped by value": (
        "optimizer=sgd optimizer.momentum=0 optimizer.nesterov=false scheduler=slanted_triangular "
        "trainer.gradient_clip_val=0.01 trainer.gradient_clip_algorithm=value",
        RATES,
    ),
    "cosine head, few labels": ("head=cosine strategy=target_only target_labels=3 selection=target_val", RATES),
    "mlp head, class weights": (
        "head=mlp strategy=linear_probe target_labels=all task.class_weights=balanced",
        RATES,
    ),
    "weight-norm head, balanced": ("head=weight_norm data.sampler=balanced label_smoothing=0.1", RATES),
    "both domains, batches over the end of a pass": (
        "strategy=mcc strategy.terms=null target_labels=4 data.batch_size=7 selection=entropy",
        RATES,
    ),
    "numbers in units": (
        "source=noon_regression target=dusk_regression strategy=target_only target_labels=9",
        RATES,
    ),
    "a head for each domain": (
        "strategy=mcc strategy.terms=null target=dusk_regression label_sets=different target_labels=9",
        RATES,
    ),
    "a logger": ("logger=csv", RATES),
}
#: Seconds and places of files differ, and the note about the pack.
INCIDENTAL = ("cost", "environment")


def alike(one: Record, other: Record, tolerance: float) -> None:
    """Compare all parts of two records that do not say where and how fast they ran."""
    first, second = asdict(one), asdict(other)
    for key in INCIDENTAL:
        costs = [each.pop(key) for each in (first, second)]
        if key == "cost":
            for name in ("parameters", "trainable_parameters", "steps", "passes"):
                assert costs[0][name] == costs[1][name]
    for result in (*first["results"].values(), *second["results"].values()):
        if "sample_scores" in result:
            result["sample_scores"] = unpack_scores(result).tolist()
    for row in (*first["epochs"], *second["epochs"]):
        row.pop("seconds")
    assert not differences(first, second, tolerance=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_a_packed_run_equals_the_single_run(case, compose, tmp_path):
    common, members = CASES[case]
    packing = Packing(compose, tmp_path, common.split(), members)
    for number, (packed, single) in enumerate(zip(packing.packed(), packing.alone(), strict=True)):
        assert packed.status == "done"
        assert packed.cost["pack"] == {"members": 3, "position": number, "tolerance": 1e-6}
        assert packed.fingerprint == single.fingerprint
        alike(packed, single, tolerance=1e-5)
        content = [packing.checkpoint(name, number) for name in ("packed", "alone")]
        # Weights, optimizer, schedule, counters of all loops, rows and random states.
        assert not differences(content[0], content[1], tolerance=1e-5)
        logged = [tmp_path / f"{name}{number}" / "csv" for name in ("packed", "alone")]
        assert logged[0].exists() == logged[1].exists() == ("logger=csv" in common)


def test_one_step_differs_by_rounding_errors_only(compose, tmp_path):
    packing = Packing(compose, tmp_path, ("trainer.max_epochs=1", "data.steps_per_epoch=1"), RATES)
    packing.packed()
    packing.alone()
    for number in range(3):
        packed, single = (packing.checkpoint(name, number)["state_dict"] for name in ("packed", "alone"))
        assert not differences(packed, single, tolerance=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_rounding_errors_grow_as_those_of_another_order_in_a_batch(optimizer, compose, tmp_path, monkeypatch):
    packing = Packing(compose, tmp_path, (f"optimizer={optimizer}", "data.steps_per_epoch=50"), RATES)
    packing.packed()
    packing.alone()
    ordered = StreamIndices._batch
    monkeypatch.setattr(StreamIndices, "_batch", lambda *arguments: ordered(*arguments).flip(0))
    packing.alone("turned")
    for number in range(3):
        packed, single, turned = (
            packing.checkpoint(name, number)["state_dict"]["network.head.weight"]
            for name in ("packed", "alone", "turned")
        )
        assert (packed - single).abs().max() <= 10 * (turned - single).abs().max()


def test_a_member_is_the_same_in_any_pack_and_position(compose, tmp_path):
    three = Packing(compose, tmp_path / "three", (), RATES)
    one = Packing(compose, tmp_path / "one", (), RATES[1:2])
    turned = Packing(compose, tmp_path / "turned", (), RATES[::-1])
    for packing in (three, one, turned):
        packing.packed()
    assert one.records()[0].cost["pack"]["members"] == 1
    weights = three.checkpoint("packed", 1)["state_dict"]
    assert not differences(turned.checkpoint("packed", 1)["state_dict"], weights)
    assert not differences(one.checkpoint("packed", 0)["state_dict"], weights, tolerance=1e-6)


@pytest.mark.parametrize("steps", [3, 60])
def test_a_member_that_diverges_fails_alone(steps, compose, tmp_path):
    common = (f"data.steps_per_epoch={steps}", "optimizer=sgd")
    sound = Packing(compose, tmp_path / "sound", common, RATES)
    broken = Packing(compose, tmp_path / "broken", common, (RATES[0], ["optimizer.lr=1e30", "seed=1"], RATES[2]))
    sound.packed()
    records = broken.packed()
    assert [record.status for record in records] == ["done", "failed", "done"]
    with pytest.raises(Exception, match="training diverged") as single:
        broken.alone()
    assert records[1].reason == f"LandbridgeError: {single.value}"
    for number in (0, 2):
        one, other = (each.checkpoint("packed", number)["state_dict"] for each in (sound, broken))
        assert not differences(one, other)


def stopping(patch: pytest.MonkeyPatch, epochs: int, number: int) -> None:
    """Send a signal to this process after some epochs, in the middle of the next one."""
    counted = []

    def train(*arguments):
        counted.append(None)
        if len(counted) > epochs:
            os.kill(os.getpid(), number)
        train_together(*arguments)

    patch.setattr(pack, "train_together", train)


@pytest.mark.parametrize("how", ["packed", "alone"])
def test_a_killed_pack_resumes(how, compose, tmp_path):
    packing = Packing(compose, tmp_path, ("scheduler=cosine", "selection=entropy"), RATES)
    packing.packed("straight")
    if not (child := os.fork()):
        with pytest.MonkeyPatch.context() as patch:
            stopping(patch, 2, signal.SIGKILL)
            packing.packed("killed")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [(record.status, len(record.epochs)) for record in packing.records("killed")] == [("running", 2)] * 3
    resumed = packing.packed("killed") if how == "packed" else packing.alone("killed")
    for number, record in enumerate(resumed):
        alike(record, packing.records("straight")[number], tolerance=1e-6)
        content = [packing.checkpoint(name, number) for name in ("killed", "straight")]
        assert not differences(content[0], content[1], tolerance=0.0 if how == "packed" else 1e-6)


def test_members_resume_from_different_epochs_and_from_single_runs(compose, tmp_path):
    packing = Packing(compose, tmp_path, ("optimizer=adamw", "scheduler=cosine"), RATES)
    packing.packed("straight")
    for number, epochs in ((0, 1), (2, 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("landbridge.run.epochs.Epochs.on_train_batch_end", _raise_at(epochs))
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                run(packing.configs[number], tmp_path / f"mixed{number}")
    for number, record in enumerate(packing.packed("mixed")):
        alike(record, packing.records("straight")[number], tolerance=1e-6)
        content = [packing.checkpoint(name, number) for name in ("mixed", "straight")]
        assert not differences(content[0], content[1], tolerance=1e-6)


def _raise_at(epochs: int):
    def stop(self, trainer, *arguments):
        if trainer.current_epoch == epochs:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_pack_says_so_in_every_record(number, compose, tmp_path, monkeypatch):
    packing = Packing(compose, tmp_path, (), RATES)
    handler = signal.getsignal(number)
    stopping(monkeypatch, 1, number)
    for record in packing.packed():
        assert (record.status, record.reason, len(record.epochs)) == ("failed", "interrupted", 1)
    assert signal.getsignal(number) is handler
    monkeypatch.undo()
    assert [record.status for record in packing.packed()] == ["done"] * 3


def test_a_member_that_stops_early_leaves_the_pack(compose, tmp_path):
    common = ("patience=2", "trainer.max_epochs=12", "strategy=target_only", "target_labels=3", "selection=target_val")
    packing = Packing(compose, tmp_path, common, RATES)
    packed, single = packing.packed(), packing.alone()
    assert len({len(record.epochs) for record in packed}) > 1
    assert [len(record.epochs) for record in packed] == [len(record.epochs) for record in single]


def test_two_threads_equal_one(compose, tmp_path):
    one, two = (Packing(compose, tmp_path / name, (), RATES) for name in ("one", "two"))
    one.packed()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    two.packed()
    torch.set_num_threads(before)
    for number in range(3):
        assert not differences(one.checkpoint("packed", number), two.checkpoint("packed", number), tolerance=1e-6)


def test_a_finished_member_does_not_run_again_and_the_others_do(compose, tmp_path):
    packing = Packing(compose, tmp_path, (), RATES)
    run(packing.configs[1], tmp_path / "packed1")
    before = (tmp_path / "packed1" / LAST).stat().st_mtime_ns
    assert [record.status for record in packing.packed()] == ["done"] * 3
    assert (tmp_path / "packed1" / LAST).stat().st_mtime_ns == before


def test_without_the_cache_members_train_alone_and_equal_single_runs(compose, tmp_path):
    packing = Packing(compose, tmp_path, ("cache=off",), RATES)
    for packed, single in zip(packing.packed(), packing.alone(), strict=True):
        assert "pack" not in packed.cost
        alike(packed, single, tolerance=0.0)
