"""Freezing policies and learning rates in real training: changed stages, optimizer states and resumed runs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
import torch
from small_problem import make
from test_every_strategy import content, differences

from landbridge.errors import LandbridgeError
from landbridge.run.epochs import Epochs
from landbridge.strategies import TargetOnly
from landbridge.training.freezing import Gradual, LinearThenFull
from landbridge.training.schedules import Constant, Cosine

TESTS = Path(__file__).parents[1]
EPOCHS = 4
SUPERVISED = ["strategy=target_only", "target_labels=all", f"trainer.max_epochs={EPOCHS}"]
ADAM = ["optimizer=adam", "optimizer.weight_decay=0.1"]
SGD = ["optimizer=sgd", "optimizer.weight_decay=0.1"]
CONV, BOTTLENECK = "backbone.conv", "backbone.bottleneck"
# The stages that train in each of four epochs, in addition to the head.
POLICIES = {
    "gradual": (["freeze=gradual"], [(), (BOTTLENECK,), (CONV, BOTTLENECK), (CONV, BOTTLENECK)]),
    "slow": (["freeze=gradual", "freeze.at=[1]"], [(), (BOTTLENECK,), (BOTTLENECK,), (BOTTLENECK,)]),
    "surgical": (["freeze=surgical", "freeze.stages=conv"], [(CONV,)] * 4),
    "linear_then_full": (["freeze=linear_then_full"], [(), (), (CONV, BOTTLENECK), (CONV, BOTTLENECK)]),
}


class Watched(TargetOnly):
    """Records after every epoch which parameters changed, had gradients, or have a state in the optimizer."""

    last: ClassVar["Watched"]

    def on_fit_start(self) -> None:
        Watched.last = self
        self.optimizer: Any = self.trainer.optimizers[0]
        self.moved: list[set[str]] = []
        self.gradients: list[set[str]] = []
        self.with_state: list[set[str]] = []
        self.resting: list[set[str]] = []

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._before = {name: value.clone() for name, value in self.network.state_dict().items()}
        self._states = {p: {k: v.clone() for k, v in state.items()} for p, state in self.optimizer.state.items()}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.resting.append({name for name, module in self.network.named_modules() if not module.training})
        return super().training_step(batch, batch_idx)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self.batches_seen % 2:  # the first step of an epoch: unfreezing a stage has not reset the state of others
            for parameter, kept in self._states.items():
                assert not differences(kept, dict(optimizer.state[parameter]))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.batches_seen % 2 == 0:
            state = self.network.state_dict()
            parameters = dict(self.network.named_parameters())
            self.moved.append({name for name, value in state.items() if not value.equal(self._before[name])})
            self.gradients.append({name for name, p in parameters.items() if p.grad is not None})
            self.with_state.append({name for name, p in parameters.items() if p in self.optimizer.state})


@pytest.mark.parametrize("optimizer", [ADAM, SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("policy", POLICIES)
def test_in_each_epoch_exactly_the_stages_of_the_policy_change(policy, optimizer, tiny):
    overrides, stages = POLICIES[policy]
    record = tiny(*SUPERVISED, *overrides, *optimizer, "strategy._target_=test_trainable.Watched")
    watched = Watched.last
    parameters = dict(watched.network.named_parameters())
    begun: set[str] = set()
    for epoch, trained in enumerate(stages):
        prefixes = (*trained, "head")
        expected = {name for name in parameters if name.startswith(prefixes)}
        begun |= expected
        assert watched.moved[epoch] == {name for name in watched.network.state_dict() if name.startswith(prefixes)}
        assert watched.gradients[epoch] == expected
        # A stage that has not begun to train has no state, and therefore no momentum and no weight decay.
        assert watched.with_state[epoch] == begun
        still = {name for name, _ in watched.network.named_modules() if name.startswith("backbone.")}
        resting = watched.resting[2 * epoch] - {"backbone"}
        assert resting == {name for name in still if not name.startswith(prefixes)}
    held = [p for group in watched.optimizer.param_groups for p in group["params"]]
    assert len(held) == len(begun)
    assert {id(p) for p in held} == {id(parameters[name]) for name in begun}
    assert record.cost["trainable_parameters"] == sum(parameters[name].numel() for name in begun)


def test_surgical_can_freeze_the_head(tiny, tmp_path):
    tiny(
        *SUPERVISED,
        *("start=source", "start.max_epochs=1", f"start.cache={tmp_path / 'models'}"),
        "freeze=surgical",
        "freeze.stages=1",
        "freeze.head=false",
        "strategy._target_=test_trainable.Watched",
    )
    names = Watched.last.network.state_dict()
    assert Watched.last.moved == [{name for name in names if name.startswith(CONV)}] * EPOCHS


@pytest.mark.parametrize("scheduler", ["constant", "slanted_triangular"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_interrupted_in_any_phase_equals_an_uninterrupted_one(policy, scheduler, tiny, tmp_path):
    overrides = [
        *SUPERVISED,
        *POLICIES[policy][0],
        *(ADAM if scheduler == "constant" else SGD),
        f"scheduler={scheduler}",
    ]
    straight = tiny(*overrides, folder="straight")

    # One run is interrupted in every epoch except the first.
    for epoch in range(1, EPOCHS):

        def stop(self, trainer, *arguments, epoch=epoch):
            if trainer.current_epoch == epoch:
                raise RuntimeError("the power went off")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Epochs, "on_train_batch_end", stop)
            with pytest.raises(RuntimeError, match="power"):
                tiny(*overrides, folder="resumed")
    resumed = tiny(*overrides, folder="resumed")
    one, other = (content(tmp_path / folder) for folder in ("straight", "resumed"))
    assert one["optimizer_states"][0]["state"]
    assert not differences(one, other)
    assert resumed.results == straight.results


# Learning rates -------------------------------------------------------------------------------------------------------


def groups(strategy) -> dict[str, float]:
    """Map each parameter to its learning rate, and check that it has exactly one."""
    configured = strategy.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    rates = [(p, group["lr"]) for group in optimizer.param_groups for p in group["params"]]
    name_of = {p: name for name, p in strategy.named_parameters()}
    assert len({id(p) for p, _ in rates}) == len(rates) == len(list(strategy.parameters()))
    return {name_of[p]: rate for p, rate in rates}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def configured(**settings):
    return make(lambda **base: TargetOnly(**{**base, "optimizer": sgd, **settings}))


@pytest.mark.parametrize(("scale", "decay"), [(1.0, 1.0), (0.1, 1.0), (1.0, 1 / 2.6), (0.2, 0.65)])
def test_learning_rates_fall_geometrically_from_the_head_to_the_input(scale, decay):
    rates = groups(configured(backbone_lr_scale=scale, layer_decay=decay))
    for name, rate in rates.items():
        distance = {"head": 0, "layer2": 1, "layer1": 2}[name.split(".")[-3 if "backbone" in name else -2]]
        assert rate == pytest.approx(0.5 * (scale if distance else 1.0) * decay**distance), name


@pytest.mark.parametrize("schedule", [Constant(), Cosine(0.25)])
def test_the_second_phase_has_its_learning_rate_from_its_first_step(schedule):
    strategy = configured(freeze=LinearThenFull(0.4, 0.1, epochs=5), schedule=schedule, backbone_lr_scale=0.5)
    built = strategy.configure_optimizers()
    optimizer, scheduler = built["optimizer"], built["lr_scheduler"]["scheduler"]
    for step in range(strategy.steps):
        factor = schedule(step / strategy.steps) * (1.0 if step < 40 else 0.1)
        found = sorted(group["lr"] for group in optimizer.param_groups)
        assert found == pytest.approx([0.25 * factor, 0.5 * factor])
        strategy.batches_seen += 1
        optimizer.step()
        scheduler.step()


def test_stages_that_are_still_frozen_have_the_current_learning_rate():
    strategy = configured(freeze=Gradual(epochs=4), schedule=Cosine(), layer_decay=0.5)
    built = strategy.configure_optimizers()
    assert [group["lr"] for group in built["optimizer"].param_groups] == pytest.approx([0.5 / 4, 0.5 / 2, 0.5])


@pytest.mark.parametrize(("policy", "epoch"), [("gradual", 1), ("linear_then_full", 1)])
def test_an_epoch_without_training_is_refused(policy, epoch, tiny, tmp_path):
    start = ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}"]
    message = rf"freeze \w+: nothing trains in epoch {epoch}: .*, and SHOT freezes the head as well"
    with pytest.raises(LandbridgeError, match=message):
        tiny("strategy=shot", f"freeze={policy}", "trainer.max_epochs=4", *start)


# Two processes --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_two_processes_unfreeze_the_same_stages(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)]), "OMP_NUM_THREADS": "1"}
    trainer = ["trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true", "hydra.run.dir=out"]
    policy = ["freeze=gradual", "optimizer._target_=dusk.Witness", "optimizer.weight_decay=0.1"]
    command = [sys.executable, "-m", "landbridge", "--config-dir", str(TESTS / "conf"), "experiment=tiny"]
    subprocess.run(
        [*command, *SUPERVISED, *policy, *trainer, "trainer.max_epochs=3"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    one, other = ((tmp_path / f"weights-{rank}.txt").read_text().splitlines() for rank in (0, 1))
    assert len(set(one)) == 6
    assert one == other


def test_ddp_without_unused_parameters_is_refused_with_gradual_unfreezing(tiny):
    message = r"Gradual changes what .* trainer\.strategy=ddp_find_unused_parameters_true"
    # Lightning changes the environment and creates a process group. Both must not affect other tests.
    try:
        with patch.dict(os.environ), pytest.raises(LandbridgeError, match=message):
            tiny(*SUPERVISED, "freeze=gradual", "trainer.strategy=ddp", "trainer.devices=1")
    finally:
        torch.distributed.destroy_process_group()
