"""Learning without forgetting and Co-Tuning, which use the classifier of the initial weights."""

import pytest
import torch
from small_problem import CLASSES, batches, gradients, make, parts
from test_every_strategy import content
from torch.nn.functional import cross_entropy, log_softmax, softmax

from landbridge.errors import LandbridgeError
from landbridge.strategies import CoTuning, LwF

TARGET = {"target": batches(labels=9)["target"]}
BEGIN = ["target_labels=2", "start=source", "start.max_epochs=1"]


def inherited(method, classes=4, **settings):
    """Build a strategy whose initial weights were trained on classes that differ from the target's."""
    strategy = make(method, **settings)
    torch.manual_seed(5)
    head = torch.nn.Linear(6, classes)
    strategy.load_auxiliary_state({f"source_head.{name}": value.detach() for name, value in head.state_dict().items()})
    return strategy


def terms(strategy):
    return strategy.loss_terms(strategy.encode_streams(TARGET))


def shake(strategy):
    torch.manual_seed(6)
    with torch.no_grad():
        for parameter in strategy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


# Learning without forgetting ------------------------------------------------------------------------------------------


def test_the_divergence_is_zero_at_the_start():
    strategy = inherited(LwF).eval()
    remember = terms(strategy)["remember"]
    assert remember.item() == pytest.approx(0, abs=1e-6)
    assert all(gradient.abs().max() < 1e-6 for gradient in gradients(strategy, remember).values())


def test_later_the_divergence_from_the_old_predictions_is_minimised():
    strategy = inherited(LwF, weight=0.5, temperature=3.0).eval()
    before = {name: value.clone() for name, value in strategy.initial.network.state_dict().items()}
    said = softmax(strategy.source_head(strategy.network(TARGET["target"]["x"])[0]) / 3, 1).detach()
    shake(strategy)
    remember = terms(strategy)["remember"]
    says = log_softmax(strategy.source_head(strategy.network(TARGET["target"]["x"])[0]) / 3, 1)
    expected = 0.5 * ((said * said.log()).sum(1) - (said * says).sum(1)).mean()
    torch.testing.assert_close(remember, expected)
    assert parts(strategy, remember) == {"backbone", "source_head"}
    assert all(value.equal(before[name]) for name, value in strategy.initial.network.state_dict().items())


def test_the_initial_model_does_not_change_in_training(tiny, tmp_path):
    cache = f"start.cache={tmp_path / 'cache'}"
    tiny("strategy=lwf", *BEGIN, cache, "trainer.max_epochs=3", "optimizer.weight_decay=0.1")
    (source,) = (tmp_path / "cache").glob("*/last.ckpt")
    start = torch.load(source, weights_only=True)["state_dict"]
    kept = content(tmp_path / "run")["state_dict"]
    for name, value in start.items():
        assert kept[f"initial.{name}"].equal(value), name
        if name.startswith("network.head."):
            assert kept[name.replace("network.head", "initial.source_head", 1)].equal(value)
            assert not kept[name.replace("network.head", "source_head", 1)].equal(value)


# Co-Tuning ------------------------------------------------------------------------------------------------------------


def test_the_source_head_is_trained_on_its_mean_initial_prediction_for_a_class():
    strategy = inherited(CoTuning, weight=2.0).eval()
    table = torch.randn(CLASSES, 4).softmax(1)
    strategy.relationship.copy_(table)
    relate = terms(strategy)["relate"]
    logits = strategy.source_head(strategy.network(TARGET["target"]["x"])[0])
    torch.testing.assert_close(relate, 2 * cross_entropy(logits, table[TARGET["target"]["y"]]))
    assert parts(strategy, relate) == {"backbone", "source_head"}


class Noted(CoTuning):
    """Records the source model's predictions for the labelled samples, before and after training."""

    def on_train_start(self) -> None:
        seen = self.collect("target")
        with torch.no_grad():
            said = softmax(self.source_head(seen.features), 1)
        self.expected = torch.stack([said[seen.y == label].mean(0) for label in range(3)])
        Noted.last = self  # pyright: ignore[reportAttributeAccessIssue]
        super().on_train_start()


def test_the_table_is_computed_once_from_the_initial_weights_and_the_visible_labels(tiny, tmp_path):
    tiny(
        "strategy=co_tuning",
        "strategy._target_=test_look_back.Noted",
        *BEGIN,
        f"start.cache={tmp_path}",
        "trainer.max_epochs=2",
    )
    table = content(tmp_path / "run")["state_dict"]["relationship"]
    torch.testing.assert_close(table, Noted.last.expected)  # pyright: ignore[reportAttributeAccessIssue]
    torch.testing.assert_close(table.sum(1), torch.ones(3))


# Source of the classifier ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["lwf", "co_tuning"])
def test_a_start_without_a_classifier_is_refused(strategy, tiny):
    with pytest.raises(LandbridgeError, match="needs the classifier that its start was trained with: set start=source"):
        tiny(f"strategy={strategy}", "target_labels=2")


def test_the_classifier_of_a_checkpoint_with_other_classes_is_used(tiny, tmp_path):
    tiny(folder="first")
    path = tmp_path / "first" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    state |= {
        f"network.head.{name}": torch.randn(7, *state[f"network.head.{name}"].shape[1:]) for name in ("weight", "bias")
    }
    torch.save(content, path)
    record = tiny("strategy=co_tuning", "target_labels=2", "start=checkpoint", f"start.path={path}", folder="second")
    assert record.start["initialised"] == ["head.weight", "head.bias"]
    kept = torch.load(tmp_path / "second" / "last.ckpt", weights_only=True)["state_dict"]
    assert kept["source_head.weight"].shape == (7, 8)
    assert kept["relationship"].shape == (3, 7)


@pytest.mark.parametrize("method", [CoTuning, LwF])
def test_the_old_classifier_has_the_learning_rate_of_the_backbone(method):
    scales = inherited(method, backbone_lr_scale=0.1).lr_scales()
    assert scales["source_head.weight"] == scales["source_head.bias"] == 0.1
    assert not any(name.startswith(("network.head.", "initial.")) for name in scales)
