"""Which jobs of a sweep fit in one pack, read from their configurations."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from landbridge.packs.plan import groups, likeness, reason_against

PROBE = ("strategy=linear_probe", "target_labels=2", "start=pretrained", "backbone=efficientnet_lite0")


@pytest.fixture
def plain(compose):
    """Return a function that composes a linear probe on cached features, with overrides, as plain values."""

    def composed(*overrides: str) -> Any:
        return OmegaConf.to_container(compose(*PROBE, *overrides), resolve=True)

    return composed


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("strategy=dann", "strategy DANN has other losses than that of the task"),
        ("strategy=mcc", "terms add other losses"),
        ("terms=[entropy]", "terms add other losses"),
        ("strategy=fine_tune freeze.depth=2", "stages of the backbone train (a pack needs freeze.depth=all)"),
        ("strategy=fine_tune freeze=gradual", "stages of the backbone train"),
        ("head._target_=mine.Head", "head Head is none that a pack trains"),
        ("head=mlp head.dropout=0.5", "head.dropout is set"),
        ("optimizer._target_=torch.optim.RMSprop", "optimizer RMSprop is none that a pack knows"),
        ("optimizer.amsgrad=true", "optimizer.amsgrad is set"),
        ("averaging=ema", "averaging is set"),
        ("augment=flip_crop", "augment is set"),
        ("cache=off", "cache=activations must serve the features"),
        ("cache.views=2", "cache=activations must serve the features"),
        ("logger=wandb", "logger WandbLogger takes one run a process"),
        ("selection=mixval", "selection MixVal runs the backbone"),
        ("data.workers=2", "data.workers is set"),
        ("trainer.precision=bf16-mixed", "trainer.precision is bf16-mixed"),
        ("trainer.devices=2", "trainer.devices is 2"),
        ("trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches is 2"),
    ],
)
def test_what_cannot_be_packed_is_named(overrides, reason, plain):
    assert (reason_against(plain(*overrides.split())) or "").startswith(reason)


@pytest.mark.parametrize(
    "overrides",
    ["", "strategy=fine_tune freeze.depth=all", "head=weight_norm", "optimizer=sgd", "scheduler=cosine", "patience=3",
     "trainer.gradient_clip_val=1", "logger=none", "logger=tensorboard", "selection=entropy"],
)  # fmt: skip
def test_heads_on_frozen_features_can_be_packed(overrides, plain):
    assert reason_against(plain(*overrides.split())) is None


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        ("seed=1 optimizer.lr=1", "seed=2 optimizer.lr=2", True),
        ("optimizer.weight_decay=1", "name=other", True),
        ("optimizer=sgd", "optimizer=sgd optimizer.momentum=0.5", True),
        ("optimizer=sgd", "optimizer=sgd optimizer.momentum=0 optimizer.nesterov=false", False),
        ("optimizer=adam", "optimizer=adamw", False),
        ("head=mlp", "head=mlp head.widths=[3]", False),
        ("scheduler=cosine", "scheduler=constant", False),
        ("target=uci_digits", "target=mnist_5k", False),
        ("target_labels=1", "target_labels=2", False),
        ("start=scratch seed=1", "start=scratch seed=2", False),
        ("start=scratch optimizer.lr=1", "start=scratch optimizer.lr=2", True),
    ],
)
def test_members_differ_in_numbers_only(one, other, fit, plain):
    assert (likeness(plain(*one.split())) == likeness(plain(*other.split()))) is fit


def test_jobs_are_grouped_in_their_order(plain):
    jobs = ["seed=1", "head=cosine", "seed=2", "strategy=dann", "head=cosine seed=3"]
    alike, others = groups({number: plain(*job.split()) for number, job in enumerate(jobs)})
    assert alike == [[0, 2], [1, 4]]
    assert list(others.values()) == [[3]]
