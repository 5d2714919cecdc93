"""Linear probes in one run. Each equals the probe of a separate run."""

import math

import pytest
import torch
from small_problem import CLASSES, make, output
from test_every_strategy import content, differences

from landbridge.errors import LandbridgeError
from landbridge.run.epochs import Epochs
from landbridge.strategies import LinearProbes

LR, FACTORS = 0.01, (0.1, 30.0)
SETTING = ("target_labels=2", "selection=target_val", "trainer.max_epochs=2", f"optimizer.lr={LR}")


@pytest.fixture
def probes(tiny):
    """A function that trains several probes in one run."""

    def launch(*overrides, factors=FACTORS, folder="probes"):
        chosen = f"strategy.factors={[*factors]}".replace(" ", "")
        return tiny("strategy=linear_probes", *SETTING, chosen, *overrides, folder=folder)

    return launch


def head(folder, prefix="network.head"):
    state = content(folder)["state_dict"]
    return {name: state[f"{prefix}.{name}"] for name in ("weight", "bias")}


def without_last(row):
    return {name: score for name, score in row["scores"].items() if name != "last"}


CLIPPED = ("trainer.gradient_clip_val=0.05",)


@pytest.mark.parametrize(
    "further",
    [
        ("optimizer=adam",),
        ("optimizer=sgd",),
        ("optimizer=sgd", *CLIPPED),
        ("optimizer=sgd", *CLIPPED, "trainer.gradient_clip_algorithm=value"),
    ],
    ids=["adam", "sgd", "norm", "value"],
)
def test_each_head_equals_a_linear_probe_at_its_learning_rate(further, probes, tiny, tmp_path):
    further = (*further, "optimizer.weight_decay=0.1", "scheduler=cosine")
    record = probes(*further)
    assert [row["lr_factor"] for row in record.epochs] == [1, 1, *FACTORS, 1]
    for number, factor in enumerate((*FACTORS, 1)):
        single = tiny(
            *("strategy=linear_probe", *SETTING, *further, f"optimizer.lr={LR * factor}"), folder=f"single-{factor}"
        )
        of = "network.head" if factor == 1 else f"others.{number}"
        assert not differences(head(tmp_path / "probes", of), head(tmp_path / f"single-{factor}"), tolerance=1e-5)
        assert without_last(record.epochs[2 + number]) == pytest.approx(without_last(single.epochs[-1]), abs=1e-5)
        if factor == 1:
            for trained, alone in zip(record.epochs, single.epochs, strict=False):
                assert trained["losses"]["supervised"] == pytest.approx(alone["losses"]["supervised"])
                assert without_last(trained) == pytest.approx(without_last(alone))


def test_heads_differ_only_by_their_learning_rates_and_the_rule_chooses_one(probes, tmp_path):
    record = probes("optimizer.lr=0.0001", factors=[1000.0, 0.01])
    assert record.epochs[record.selection["epoch"]]["lr_factor"] == 1000
    chosen = content(tmp_path / "probes", record.selection["checkpoint"])["state_dict"]
    assert chosen["network.head.weight"].equal(chosen["others.0.weight"])
    scores = [row["scores"]["target_val"] for row in record.epochs]
    assert scores[record.selection["epoch"]] == max(scores) > min(scores)


def test_the_last_epoch_has_the_head_of_the_configured_rate(probes):
    one = probes("selection=last", folder="one")
    other = probes("selection=last", factors=[3.0], folder="other")
    assert one.results == other.results
    assert one.selection["epoch"] == 2 + len(FACTORS)


def test_a_diverged_head_has_the_lowest_score_and_is_not_chosen(probes):
    # Weight decay at such a learning rate makes the weights grow without bound.
    further = ("optimizer=sgd", "optimizer.weight_decay=0.1", "trainer.max_epochs=6")
    record = probes(*further, factors=[0.1, 1e30], folder="diverged")
    sound = probes(*further, factors=[0.1], folder="sound")
    scores = {name: score for name, score in without_last(record.epochs[7]).items() if name != "oracle"}
    assert record.epochs[7]["lr_factor"] == 1e30
    assert len(scores) > 5
    assert all(map(math.isnan, scores.values()))
    assert record.results == sound.results
    assert all(math.isfinite(loss) for row in record.epochs for loss in row["losses"].values())


def test_the_configured_head_may_diverge_too(probes, tiny):
    further = ("optimizer=sgd", "optimizer.weight_decay=0.1", "trainer.max_epochs=6")
    record = probes(*further, "optimizer.lr=1e30", factors=[1e-32])
    single = tiny("strategy=linear_probe", *SETTING, *further, "optimizer.lr=0.01", folder="single")
    assert math.isnan(record.epochs[5]["scores"]["target_val"])
    assert record.epochs[record.selection["epoch"]]["lr_factor"] == 1e-32
    assert record.epochs[6]["scores"]["target_val"] == single.epochs[5]["scores"]["target_val"]


def test_the_oracle_counts_non_finite_logits_as_wrong(probes):
    further = ("optimizer=sgd", "optimizer.weight_decay=0.1", "trainer.max_epochs=6", "selection=oracle")
    record = probes(*further, factors=[1e30])
    assert record.epochs[6]["scores"]["oracle"] == 0
    assert record.epochs[record.selection["epoch"]]["lr_factor"] == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e38])
def test_loss_and_gradients_stay_finite_if_a_head_has_diverged(broken):
    alone, beside = make(LinearProbes, factors=[2.0]), make(LinearProbes, factors=[2.0, 3.0])
    with torch.no_grad():
        beside.others[1].weight.fill_(broken)
    target = output("target", torch.randn(9, 6), y=torch.arange(9) % CLASSES)
    target.logits.requires_grad_()
    for strategy in (alone, beside):
        sum(strategy.loss(target).values()).backward()
    assert all(bool(each.grad.isfinite().all()) for each in beside.others.parameters())
    torch.testing.assert_close(beside.others[0].weight.grad, alone.others[0].weight.grad)


def test_a_run_interrupted_between_heads_resumes_with_the_next_head(probes, tmp_path, monkeypatch):
    straight = probes(folder="straight")
    begin = Epochs.on_train_epoch_start

    def stop(self, trainer, module):
        if trainer.current_epoch == 3:
            raise RuntimeError("the power went off")
        begin(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "on_train_epoch_start", stop)
        with pytest.raises(RuntimeError, match="power"):
            probes(folder="resumed")
    resumed = probes(folder="resumed")
    assert not differences(content(tmp_path / "resumed"), content(tmp_path / "straight"))
    assert not differences(resumed.epochs, straight.epochs)
    assert resumed.results == straight.results


@pytest.mark.parametrize(
    ("override", "message"),
    [("terms=[entropy]", "cannot act"), ("averaging=ema", "sets its weights itself")],
)
def test_auxiliary_losses_and_averaging_are_refused(override, message, probes):
    with pytest.raises(LandbridgeError, match=message):
        probes(override)


def test_the_backbone_does_not_change(probes, tmp_path):
    probes("start=scratch")
    state = content(tmp_path / "probes")["state_dict"]
    counted = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert counted
    assert not any(counted)
