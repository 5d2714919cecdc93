"""The derived configuration of the run that trains a source model."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from landbridge.config.check import check
from landbridge.config.facts import FACTS
from landbridge.config.slots import SAME, SLOTS
from landbridge.config.source_model import source_model

WANTS = (
    "experiment=tiny",
    *("start=source", "strategy=dann", "terms=[mcc]", "tuning=bitfit", "averaging=ema", "logger=csv"),
    *("freeze.depth=1", "selection=oracle", "target_labels=2", "transductive=true", "name=mine", "seed=3"),
    *("optimizer=sgd", "optimizer.lr=0.3", "scheduler=cosine", "checkpoint_every=7", "data.batch_size=8"),
    *("cache=activations", "cache.views=2", "trainer.devices=2", "+trainer.num_nodes=2", "trainer.max_epochs=5"),
)
ENTRIES = {**SLOTS, **FACTS}


@pytest.fixture
def wanting(compose):
    """Return the configuration of a run that needs a source model."""
    return compose(*WANTS)


def plain(cfg) -> dict[str, Any]:
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def test_the_derived_configuration_is_valid(wanting):
    check(wanting)
    check(source_model(wanting).config)


def test_the_derived_run_is_supervised_on_all_labels_of_the_source(wanting):
    config, own = plain(source_model(wanting).config), plain(wanting)
    assert config["target"] == own["source"]
    assert config["source"] is None
    assert config["target_labels"] == "all"
    assert config["transductive"] is False
    assert config["strategy"] == {"_target_": "landbridge.strategies.TargetOnly"}
    assert config["start"] == {"_target_": "landbridge.models.start.Scratch"}
    assert config["freeze"] == {"_target_": "landbridge.training.freezing.Depth"}
    assert config["selection"] == {"_target_": "landbridge.selection.Last"}
    assert config["name"] == "source_model"
    assert [config[name] for name in ("terms", "tuning", "averaging", "logger")] == [None] * 4


def test_the_derived_run_trains_in_one_process(wanting):
    trainer = plain(source_model(wanting).config)["trainer"]
    assert (trainer["devices"], trainer["strategy"]) == (1, "auto")
    assert trainer.keys().isdisjoint({"num_nodes", "sync_batchnorm"})


def test_backbone_optimizer_schedule_data_and_seed_stay_the_same(wanting):
    config, own = plain(source_model(wanting).config), plain(wanting)
    for name in ("backbone", "optimizer", "scheduler", "data", "seed", "checkpoint_every"):
        assert config[name] == own[name], name
    assert config["trainer"]["max_epochs"] == 5
    assert config["cache"] == {name: value for name, value in own["cache"].items() if name != "views"}


def test_the_original_configuration_is_not_modified(wanting):
    before = plain(wanting)
    source_model(wanting)
    assert plain(wanting) == before


@pytest.mark.parametrize(
    ("typed", "start", "epochs"),
    [
        ("start.before=pretrained", "landbridge.models.start.Pretrained", 5),
        ("start.max_epochs=2", "landbridge.models.start.Scratch", 2),
    ],
)
def test_the_start_sets_the_initial_weights_and_the_epochs_of_the_source_model(compose, typed, start, epochs):
    config = plain(source_model(compose(*WANTS, typed)).config)
    assert config["start"] == {"_target_": start}
    assert config["trainer"]["max_epochs"] == epochs


def test_a_strategy_may_choose_another_strategy_for_its_source_model(compose):
    config = plain(source_model(compose("experiment=tiny", "strategy=gmm_prototypes")).config)
    assert config["strategy"] == {"_target_": "landbridge.strategies.GaussianModel"}


DEPTH = "landbridge.training.freezing.Depth"
SURGICAL = "landbridge.training.freezing.Surgical"


@pytest.mark.parametrize(
    ("typed", "freeze"),
    [
        # Without target labels, `source_only` at the same freezing is the reference.
        (["strategy=shot", "freeze.depth=1"], {"_target_": DEPTH, "depth": 1}),
        (["strategy=adda", "freeze.depth=1", "target_labels=0"], {"_target_": DEPTH, "depth": 1}),
        (["strategy=adabn", "freeze.depth=1", "target_labels=5"], {"_target_": DEPTH, "depth": 1}),
        (["strategy=gmm_prototypes", "freeze.depth=1"], {"_target_": DEPTH, "depth": 1}),
        # The head of the source model is new.
        (
            ["strategy=shot", "freeze=surgical", "freeze.stages=[1]", "freeze.head=false"],
            {"_target_": SURGICAL, "stages": [1]},
        ),
        # A run that trains on target labels, or that does not continue a source model.
        (["strategy=shot", "freeze.depth=1", "target_labels=5"], {"_target_": DEPTH}),
        (["strategy=fine_tune", "freeze.depth=1", "target_labels=5"], {"_target_": DEPTH}),
        (["strategy=wise_ft", "freeze.depth=1", "target_labels=5"], {"_target_": DEPTH}),
        (["strategy=dann", "freeze.depth=1", "start=source"], {"_target_": DEPTH}),
        # Nothing is frozen: runs of both kinds share one source model.
        (["strategy=shot", "freeze.depth=0"], {"_target_": DEPTH}),
    ],
)
def test_the_source_model_of_an_adaptation_without_labels_has_the_freezing_of_the_run(compose, typed, freeze):
    model = source_model(compose("experiment=tiny", "start=source", *typed))
    assert plain(model.config)["freeze"] == freeze
    assert model.follows_freezing == (len(freeze) > 1)
    check(model.config)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_stays_the_same_or_has_a_valid_value_for_the_source_model(wanting, name):
    value = ENTRIES[name].in_source_model
    if value is SAME:
        return
    config = plain(wanting) | {name: value}
    check(OmegaConf.create(config))
    # The derived configuration has this value, too.
    assert plain(source_model(wanting).config)[name] == value
