"""Training with augmented labelled images, for every strategy that trains on images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.data.activations import Activation
from landbridge.data.augment_policies import FlipCrop, Unchanged
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import MLP
from landbridge.models.network import Network
from landbridge.run.checkpoints import LAST
from landbridge.run.epochs import Epochs
from landbridge.strategies import TargetOnly
from landbridge.strategies.base import Strategy
from landbridge.strategies.closed_form import ClosedForm
from landbridge.training.augmented import augmented
from landbridge.training.freezing import Depth
from landbridge.training.output import Output
from landbridge.training.schedules import Constant

STRATEGIES = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml") if path.stem != "ridge")


def target(strategy: str) -> str:
    node = OmegaConf.load(conf_folder() / "strategy" / f"{strategy}.yaml")
    return node.get("strategy", node)._target_


# Strategies of one class differ in their terms, which never read images.
ONE_OF_EACH_CLASS = list({target(name): name for name in reversed(STRATEGIES)}.values())
MIXED = ("augment=randaugment", "augment.mixup=0.4", "augment.cutmix=1", "augment.random_erasing=0.3")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / LAST, weights_only=True)["state_dict"]


@pytest.fixture
def setting(compose, tmp_path, tiny):
    """The overrides that give a strategy the streams and the start that it needs."""

    def overrides(strategy: str) -> list[str]:
        needs = get_class(compose("experiment=tiny", f"strategy={strategy}").strategy._target_).requirements
        found = [f"strategy={strategy}", f"target_labels={2 * int('target' in needs.streams)}"]
        if strategy == "soup":
            tiny("seed=0", folder="sweep/0")
            found += [f"strategy.folder={tmp_path / 'sweep'}", "strategy.how=uniform"]
        if needs.source_model or needs.source_classifier or needs.looks_back or strategy == "l2_sp":
            found += ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}"]
        return found + (["transductive=true"] if needs.adapts_at_test else [])

    return overrides


@pytest.mark.parametrize("strategy", ONE_OF_EACH_CLASS)
def test_every_strategy_trains_with_augmented_images(strategy, setting, tiny, compose, monkeypatch):
    changed: set[str] = set()
    change = FlipCrop.policy

    def policy(self, kind):
        own = change(self, kind)
        return lambda raw, generator: changed.add("images") or own(raw, generator)

    monkeypatch.setattr(FlipCrop, "policy", policy)
    typed = setting(strategy)
    record = tiny(*typed, "augment=flip_crop", "data.steps_per_epoch=1")
    assert record.status == "done"
    assert record.config["augment"]["_target_"].endswith(".FlipCrop")
    method = get_class(compose("experiment=tiny", *typed).strategy._target_)
    needs = method.requirements
    steps = needs.trains and not issubclass(method, ClosedForm)
    assert bool(changed) == bool((steps and needs.streams & {"source", "target"}) or "start=source" in typed)


@pytest.mark.parametrize("strategy", ["source_only", "fixmatch", pytest.param("mcd", marks=pytest.mark.long)])
@pytest.mark.parametrize("augment", [("augment=flip_crop",), MIXED], ids=["flip_crop", "mixed"])
def test_a_resumed_run_equals_a_straight_one(strategy, augment, tiny, tmp_path):
    if augment is MIXED and strategy == "fixmatch":
        augment = (*augment, "augment.mixup=0", "augment.cutmix=0")
    typed = [f"strategy={strategy}", "target_labels=2", "trainer.max_epochs=3", *augment]
    straight = tiny(*typed, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*typed, folder="resumed")
    resumed = tiny(*typed, folder="resumed")
    assert [row["losses"] for row in resumed.epochs] == [row["losses"] for row in straight.epochs]
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "resumed")
    assert all(value.equal(other[name]) for name, value in one.items())


def test_images_change_in_training_only_and_differ_between_steps_and_processes(tiny, monkeypatch):
    seen: list[torch.Tensor] = []
    encode = Strategy.encode

    def watched(self, name, batch):
        seen.append((self.training, name, batch["x"].tensors[0].clone(), batch["index"]))
        return encode(self, name, batch)

    monkeypatch.setattr(Strategy, "encode", watched)
    runs = {}
    for rank in (0, 1):
        monkeypatch.setattr(Strategy, "global_rank", rank)
        tiny("augment=flip_crop", "trainer.max_epochs=4", "data.batch_size=36", folder=str(rank))
        runs[rank] = [each for each in seen if each[0]]
        evaluated = [each for each in seen if not each[0]]
        seen.clear()
        assert evaluated
        assert all(images.dtype == torch.uint8 for _, _, images, _ in evaluated)
    by_sample = {rank: [images[index.argsort()] for _, _, images, index in steps] for rank, steps in runs.items()}
    drawn = [images.numpy().tobytes() for steps in by_sample.values() for images in steps]
    assert len(drawn) == len(set(drawn)) == 16


def test_the_default_of_a_method_can_be_set(tiny, compose):
    assert compose("experiment=tiny", "strategy=fixmatch").augment._target_.endswith(".Weak")
    assert compose("experiment=tiny", "strategy=fixmatch", "augment=none").augment is None
    none = tiny("strategy=fixmatch", "augment=none", "strategy.weight=0", "strategy.decay=0", folder="none")
    plain = tiny("strategy=source_only", folder="plain")
    # Without pseudo-labels and augmentation, only the statistics of the other streams' BatchNorm differ.
    assert none.epochs[0]["losses"]["agree"] == 0
    assert none.fingerprint != plain.fingerprint


def test_the_source_model_sees_the_same_augmentation(tiny, tmp_path, monkeypatch):
    kinds = []
    change = FlipCrop.change
    monkeypatch.setattr(FlipCrop, "change", lambda self, kind: kinds.append(kind) or change(self, kind))
    shot = ("strategy=shot", "start=source", "start.max_epochs=1", f"start.cache={tmp_path / 'sources'}")
    with_it = tiny(*shot, "augment=flip_crop", folder="with")
    assert kinds == ["photographs"]
    without = tiny(*shot, "augment=flip_crop", "start.augment=false", folder="without")
    assert kinds == ["photographs"]
    assert len([path for path in (tmp_path / "sources").iterdir() if path.is_dir()]) == 2
    assert with_it.epochs[0]["losses"] != without.epochs[0]["losses"]


# ---- with the cache


def test_labelled_streams_read_inputs_and_the_others_read_the_cache(tiny, tmp_path, monkeypatch):
    depths = {}
    encode = Strategy.encode

    def watched(self, name, batch):
        if self.training:
            depths[name] = batch["x"].depth
        return encode(self, name, batch)

    monkeypatch.setattr(Strategy, "encode", watched)
    store = ("cache=activations", f"cache.path={tmp_path / 'store'}", "freeze.depth=1", "data.steps_per_epoch=4")
    tiny("strategy=dann", *store, folder="plain")
    assert depths == {"source": 1, "target_unlabelled": 1}
    cached = tiny("strategy=dann", *store, "augment=flip_crop", folder="cached")
    assert depths == {"source": 0, "target_unlabelled": 1}
    free = tiny("strategy=dann", *store[2:], "augment=flip_crop", folder="free")
    assert cached.epochs[0]["losses"] == pytest.approx(free.epochs[0]["losses"], rel=1e-5)
    assert cached.fingerprint == free.fingerprint


def test_views_of_labelled_images_are_drawn_before_training(tiny, tmp_path):
    store = ("cache=activations", f"cache.path={tmp_path / 'store'}", "freeze.depth=1", "cache.views=2")
    typed = ("strategy=fine_tune", "target_labels=all", *store)
    first = tiny(*typed, "augment=flip_crop", folder="first")
    again = tiny(*typed, "augment=flip_crop", folder="again")
    assert (first.cost["cache"]["depth"], again.cost["cache"]["computed"]) == (1, 0)
    assert again.epochs[0]["losses"] == first.epochs[0]["losses"]
    other = tiny(*typed, "augment=flip_crop", "augment.area=0.9", folder="other")
    assert other.cost["cache"]["computed"] == 2 * 36
    with pytest.raises(LandbridgeError, match="2 draws the views before training, and mixup"):
        tiny(*typed, "augment=flip_crop", "augment.mixup=0.2", folder="mixed")


# ---- mixing in the loss


def test_partners_and_their_class_weights_are_mixed_with_the_images():
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    y, weights = torch.tensor([0, 1, 2, 0]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    batch = {"x": Activation(0, (images,)), "y": y, "weights": weights}
    changed = augmented("source", batch, None, Unchanged(mixup=0.5), 0, 0, 0)
    (mixed,) = changed["x"].tensors
    share = changed["weights"] / weights
    weight = share.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed, weight * images + (1 - weight) * images.roll(1, 0))
    assert changed["other"].tolist() == y.roll(1).tolist()
    torch.testing.assert_close(changed["other_weights"], (1 - share) * weights.roll(1))
    other = augmented("source", batch, None, Unchanged(mixup=0.5), 0, 1, 0)
    assert not torch.equal(other["weights"], changed["weights"])


def test_the_loss_of_mixed_images_is_the_mix_of_both_losses():
    network = Network(MLP(shape=(5,), widths=(6,)), 3)
    strategy = TargetOnly(network, freeze=Depth(), optimizer=torch.optim.SGD, schedule=Constant(), steps=1)
    logits, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    other, share = y.roll(1), torch.full((4,), 0.3)
    output = Output("target", torch.randn(4, 5), logits, torch.arange(4), y, share, other, 1 - share)
    soft = 0.3 * torch.eye(3)[y] + 0.7 * torch.eye(3)[other]
    expected = torch.nn.functional.cross_entropy(logits, soft)
    torch.testing.assert_close(strategy.supervised(output), expected)
    heavier = replace(output, weights=2 * output.weights, other_weights=2 * output.other_weights)
    torch.testing.assert_close(strategy.supervised(heavier), 2 * expected)
    joined = Output.cat([output, output])
    torch.testing.assert_close(strategy.supervised(joined), expected)
    with pytest.raises(LandbridgeError, match="mixed: each has two labels"):
        _ = output.y


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_takes_mixed_labels_or_says_that_it_does_not(strategy, setting, tiny):
    try:
        record = tiny(*setting(strategy), "augment=mixup", "data.steps_per_epoch=1")
    except LandbridgeError as error:
        assert "reads the one label of each sample, and an image that mixup" in str(error)  # noqa: PT017
    else:
        assert record.status == "done"


def test_inputs_that_are_no_images_are_refused(tiny):
    with pytest.raises(LandbridgeError, match="augment: FlipCrop changes images, but the backbone takes vector inputs"):
        tiny("augment=flip_crop", "source=linear", "target=linear", "backbone=identity", "strategy=source_only")
