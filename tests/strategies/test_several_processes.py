"""Two processes that train in parallel compute the same as one process with the global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.run.checkpoints import LAST, SELECTED
from landbridge.run.run import run
from photographs import photographs

TESTS = Path(__file__).parents[1]
TINY = ("--config-dir", str(TESTS / "conf"), "experiment=tiny")
GATHER = "strategy.gather=true"
NORMS = "backbone=dusk_net"
# Dropout would draw other random numbers in each process.
TEXTS = ("source=murmur", "target=chatter", "backbone=tiny_bert", "backbone.dropout=0.0")

# Some strategies of each family. Losses that compare samples read the global batch only if outputs are gathered.
EQUAL = {
    "l2_sp": ("target_labels=all", "start=checkpoint", "optimizer.weight_decay=0"),
    "coral": (GATHER,),
    "dann": ("target_labels=10",),
    "cdan_e": (GATHER,),
    # Its own heads drop random units, and measure statistics in each process.
    "mcd": ("head=linear",),
    "adda": ("start=checkpoint",),
    "mcc": (GATHER, "terms=[coral]"),
    "pseudo_label": ("strategy.terms.pseudo_label.threshold=0.3",),
    "shot": (GATHER, "start=checkpoint"),
    "adabn": (NORMS, "start=checkpoint"),
    "linear_probe": (NORMS, "start=checkpoint", "target_labels=all"),
    "linear_probes": (NORMS, "start=checkpoint", "target_labels=all", "strategy.factors=[3.0]"),
    "knn": (NORMS, "start=checkpoint", "target_labels=all"),
    "logistic": (NORMS, "start=checkpoint", "target_labels=all", "selection=target_val"),
    "target_only": (*TEXTS, "target_labels=all"),
    "source_only": (*TEXTS, "freeze.depth=1"),
}
SHARDED = {
    "l2_sp": (),
    "coral": (),
    "dann": (),
    # All of its BatchNorm layers are frozen. On CPUs, torch refuses to synchronise layers that train.
    "linear_probe": ("trainer.sync_batchnorm=true",),
}
WAITS = ("selection._target_=test_run.Second", "checkpoint_every=1000", "trainer.max_epochs=3")
# Two processes augment different images of the global batch, each with random numbers of its own.
AUGMENTED = ("augment=randaugment", "augment.mixup=0.3", "augment.random_erasing=0.3")
IMAGES = ("strategy=dann", NORMS)
DICE = (NORMS, "optimizer._target_=dusk.Dice", "trainer.max_epochs=3", *AUGMENTED)
TOGETHER = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=8")
PARTS = ("trainer.strategy._target_=dusk.ShardedOnCPU", "trainer.devices=2", "data.batch_size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, compose):
    """The folder in which each command was run by one process, and then by two processes."""
    folder = tmp_path_factory.mktemp("processes")

    def overrides(strategy: str, *more: str) -> list[str]:
        # Adam would amplify rounding errors of gradients that are nearly zero.
        given = [f"strategy={strategy}", "optimizer=sgd", "optimizer.lr=0.05", "trainer.max_epochs=2", *more]
        if "start=checkpoint" in more:
            given.append(f"start.path={folder / 'source' / ('norms' if NORMS in more else 'plain') / LAST}")
        own_backbone = any(each.startswith("backbone=") for each in more)
        return [*given, *([] if own_backbone else ["backbone._target_=dusk.PlainNet"])]

    for name, more in {"plain": (), "norms": (NORMS,)}.items():
        run(compose("experiment=tiny", *overrides("source_only", *more)), folder / "source" / name)
    for name, more in EQUAL.items():
        run(compose("experiment=tiny", *overrides(name, *more)), folder / "one" / name)
    commands = [(f"two/{name}", overrides(name, *more, *TOGETHER), False) for name, more in EQUAL.items()]
    commands += [
        (f"sharded/{name}", overrides(name, *EQUAL[name], *PARTS, *more), False) for name, more in SHARDED.items()
    ]
    run(compose("experiment=tiny", *overrides("source_only", *WAITS)), folder / "one" / "waits")
    for where, several in {"two": TOGETHER, "sharded": PARTS}.items():
        commands.append((f"{where}/waits", overrides("source_only", *WAITS, *several), False))
    commands.append(("apart", overrides("coral", *TOGETHER), False))
    source = ("start=source", "start.max_epochs=1", f"start.cache={folder / 'cache'}")
    commands.append(("from_source", overrides("shot", *source, *TOGETHER), False))
    commands.append(("refused", overrides("adda", "start=checkpoint", *TOGETHER, "trainer.strategy=ddp"), True))
    dice = overrides("source_only", *DICE, *TOGETHER)
    commands += [("dice/whole", dice, False), ("dice/cut", dice, True), ("dice/cut", dice, False)]
    roots = {role: photographs(folder / role, seed) for seed, role in enumerate(("dawn", "night"))}
    domains = ["source=image_folder", f"source.root={roots['dawn']}", "target=image_folder"]
    domains += [f"target.root={roots['night']}", "data.workers=1", "trainer.max_epochs=3"]
    read = [*IMAGES, *domains, *TOGETHER]
    commands += [("photos/whole", read, False), ("photos/cut", read, True), ("photos/cut", read, False)]
    launch(
        folder,
        [{"arguments": [*TINY, *typed, f"hydra.run.dir={name}"], "stops": stops} for name, typed, stops in commands],
    )
    return folder


def launch(folder: Path, commands: list[dict[str, Any]]) -> None:
    """Start two processes on the same commands, in the same way as torchrun."""
    (folder / "commands.json").write_text(json.dumps(commands))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "WORLD_SIZE": "2",
    }
    processes, logs = [], [folder / f"log-{rank}.txt" for rank in (0, 1)]
    for rank, log in enumerate(logs):
        with (folder / "commands.json").open() as given, log.open("w") as told:
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("side_by_side.py"))],
                    cwd=folder,
                    env=environment | {"LOCAL_RANK": str(rank)},
                    stdin=given,
                    stdout=told,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        codes = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], "\n".join(log.read_text()[-3000:] for log in logs)


def weights(folder: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    return torch.load(folder / name, weights_only=True)["state_dict"]


def losses(folder: Path) -> list[dict[str, float]]:
    return [row["losses"] for row in Record.read(folder).epochs]


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "strategy"), [*(("two", each) for each in EQUAL), *(("sharded", each) for each in SHARDED)]
)
def test_two_processes_compute_the_same_as_one_process_with_the_global_batch(where, strategy, folder):
    one, two = folder / "one" / strategy, folder / where / strategy
    torch.testing.assert_close(weights(two), weights(one), rtol=1e-4, atol=1e-5)
    assert losses(two) == [pytest.approx(row, rel=1e-4, abs=1e-6) for row in losses(one)]
    results = [Record.read(each).results["target"] for each in (one, two)]
    assert results[0]["n"] == results[1]["n"] == 12
    assert results[0]["accuracy"] == results[1]["accuracy"]


@pytest.mark.long
@pytest.mark.parametrize("where", ["two", "sharded"])
def test_several_processes_save_an_epoch_that_is_held_in_memory(where, folder):
    assert torch.load(folder / where / "waits" / SELECTED, weights_only=True)["epoch"] == 1
    kept = [weights(folder / each / "waits", SELECTED) for each in ("one", where)]
    torch.testing.assert_close(*kept, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_losses_that_compare_samples_differ_without_gathering(folder):
    apart, together = (losses(folder / where)[1] for where in ("apart", "one/coral"))
    assert apart["+coral"] != pytest.approx(together["+coral"], rel=1e-2)


@pytest.mark.long
def test_processes_draw_different_random_numbers_and_a_resumed_run_draws_the_same(folder):
    drawn = [(folder / f"dice-{rank}.txt").read_text().splitlines() for rank in (0, 1)]
    for numbers in drawn:
        whole = numbers[:6]
        assert len(set(whole)) == 6
        assert numbers == [*whole, *whole[:5], *whole[4:]]
    assert not set(drawn[0]) & set(drawn[1])
    torch.testing.assert_close(weights(folder / "dice/cut"), weights(folder / "dice/whole"), rtol=0, atol=0)
    assert losses(folder / "dice/cut") == losses(folder / "dice/whole")


@pytest.mark.long
def test_processes_whose_workers_decode_photographs_resume_with_the_same_samples(folder):
    torch.testing.assert_close(weights(folder / "photos/cut"), weights(folder / "photos/whole"), rtol=0, atol=0)
    assert losses(folder / "photos/cut") == losses(folder / "photos/whole")


@pytest.mark.long
def test_the_source_model_is_trained_by_one_process_only(folder):
    (model,) = (folder / "cache").iterdir()
    assert Record.read(model).status == "done"
    assert Record.read(folder / "from_source").start["loaded"] == 6


@pytest.mark.long
def test_training_parts_of_the_weights_in_turn_is_refused_by_default(folder):
    assert "ADDA changes what trains within a step" in Record.read(folder / "refused").reason


SHARDS = ("trainer.strategy._target_=dusk.ShardedOnCPU", "target_labels=all")


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        (("strategy=mcd",), "strategy MCD"),
        (("strategy=fixmatch",), "strategy FixMatch"),
        (("strategy=delta", "start=source"), "strategy DELTA"),
        (("strategy=shot", "start=source"), "strategy SHOT"),
        (("averaging=ema",), "averaging"),
        (("freeze=gradual", "trainer.max_epochs=3"), "freeze Gradual"),
        (("trainer.precision=bf16-mixed",), "trainer.precision=bf16-mixed"),
        (("selection=mixval",), "selection=mixval"),
    ],
)
def test_strategies_that_need_whole_weights_are_refused_with_sharding(typed, who, tiny, tmp_path):
    source = ["start.max_epochs=1", f"start.cache={tmp_path}"] if "start=source" in typed else []
    with pytest.raises(LandbridgeError, match=f"^{who} needs whole weights, which FSDP keeps in parts"):
        tiny(*SHARDS, *typed, *source)


def test_batchnorm_is_synchronised_if_possible(tiny):
    with pytest.raises(LandbridgeError, match="on GPUs only"):
        tiny("trainer.strategy=ddp", "trainer.sync_batchnorm=true")
    with pytest.raises(LandbridgeError, match="strategy StochNorm has changed"):
        tiny("strategy=stoch_norm", "target_labels=all", "trainer.sync_batchnorm=true", folder="other")


def test_lightning_shards_on_gpus_only(tiny, compose):
    assert compose("experiment=tiny", "trainer=fsdp").trainer.strategy == "fsdp"
    with pytest.raises(LandbridgeError, match="requires a GPU"):
        tiny("trainer=fsdp", "trainer.accelerator=cpu")
