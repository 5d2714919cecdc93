"""A recipe bundles settings of groups, for every strategy and its references, and what a user types wins over it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.config.check import check
from landbridge.config.source_model import source_model
from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.report.cells import Cell
from landbridge.report.compare import differences
from landbridge.report.runs import Run
from landbridge.run.assemble import build_strategy
from landbridge.run.initial_network import build_network
from landbridge.tasks import Classification

RECIPES = sorted(path.stem for path in (conf_folder() / "recipe").glob("*.yaml"))
TESTS = Path(__file__).parent
BUNDLES = {
    "none": ("Adam", 0.001, "Constant", "Linear", None, 64, 1, 1),
    "digits": ("Adam", 0.001, "Constant", "Linear", None, 64, 1, 1),
    "pretrained_conv": ("SGD", 0.01, "InverseDecay", "Linear", "Bottleneck", 32, 0.1, 1),
    "pretrained_transformer": ("AdamW", 0.0001, "Cosine", "Linear", None, 32, 1, 0.75),
    "text": ("AdamW", 0.0001, "Cosine", "Linear", None, 32, 1, 0.8),
}


def bundle(cfg):
    groups = ("optimizer", "scheduler", "head", "bottleneck")
    kinds = {name: cfg[name] and cfg[name]._target_.rpartition(".")[2] for name in groups}
    batch = cfg.data.get("batch_size", 64)
    return (
        *(kinds["optimizer"], cfg.optimizer.lr, kinds["scheduler"], kinds["head"], kinds["bottleneck"]),
        *(batch, cfg.backbone_lr_scale, cfg.layer_decay),
    )


def rates(cfg, part: str = "") -> set[float]:
    """Return the learning rates of all parameters, or of a part, before the schedule changes them."""
    network = build_network(cfg, Classification(("a", "b")), (3, 8, 8), None)
    strategy = build_strategy(cfg, network, Classification(("a", "b")), None, 10)
    configured = strategy.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured[0]["optimizer"]
    named = {id(each): name for name, each in network.named_parameters()}
    return {
        round(group["initial_lr"], 9)
        for group in optimizer.param_groups
        if any(named[id(each)].startswith(part) for each in group["params"])
    }


@pytest.mark.parametrize("strategy", ["source_only", "dann", "shot", "fine_tune", "linear_probe"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_sets_the_same_for_every_strategy(recipe, strategy, compose):
    cfg = compose(f"recipe={recipe}", f"strategy={strategy}", "source=mnist_5k", "target=uci_digits")
    check(cfg)
    assert bundle(cfg) == BUNDLES[recipe]
    assert "recipe" not in cfg


def test_the_recipe_of_digits_is_the_default(compose):
    assert compose("recipe=digits") == compose() == compose("recipe=none")


def test_what_a_user_types_wins_over_a_recipe(compose):
    typed = ("optimizer=adam", "bottleneck=none", "data.batch_size=8", "backbone_lr_scale=0.5", "scheduler=cosine")
    cfg = compose("recipe=pretrained_conv", *typed)
    check(cfg)
    assert bundle(cfg) == ("Adam", 0.001, "Cosine", "Linear", None, 8, 0.5, 1)
    assert bundle(compose("optimizer.lr=0.1", "recipe=pretrained_conv"))[1] == 0.1


def test_an_experiment_wins_over_a_recipe(compose):
    assert bundle(compose("recipe=pretrained_conv", "experiment=tiny"))[5] == 16


def test_the_backbone_learns_at_the_rate_of_the_recipe_unless_the_strategy_sets_its_own(compose, caplog):
    one = ("experiment=tiny", "recipe=pretrained_conv")
    assert rates(compose(*one)) == {0.01, 0.001}
    assert rates(compose(*one), "bottleneck.") == rates(compose(*one), "head.") == {0.01}
    assert rates(compose(*one, "strategy.backbone_lr_scale=0.2")) == {0.01, 0.002}
    assert "set strategy.backbone_lr_scale" in caplog.text
    assert rates(compose(*one, "backbone_lr_scale=1")) == {0.01}
    assert len(rates(compose("experiment=tiny", "recipe=text"))) > 2


def test_the_source_model_has_the_recipe_of_the_run(compose):
    cfg = compose("experiment=tiny", "recipe=pretrained_conv", "strategy=fine_tune", "start=source")
    model = source_model(cfg).config
    assert "backbone_lr_scale" not in model.strategy
    assert bundle(model) == bundle(cfg)


def test_what_a_recipe_changes_is_a_difference_between_cells(tiny):
    plain, other = (tiny(*each, folder=str(i)) for i, each in enumerate([(), ("recipe=pretrained_conv",)]))
    one, two = (Cell(run.method, run.pair, {0: run}) for run in (Run(TESTS, plain), Run(TESTS, other)))
    found = differences(one, two)
    assert {"optimizer", "optimizer.lr", "scheduler", "bottleneck", "backbone_lr_scale"} <= set(found)
    assert plain.fingerprint != other.fingerprint


def test_the_record_names_the_recipe(main_here, tmp_path):
    main_here(
        "--config-dir", str(TESTS), "experiment=tiny", "recipe=pretrained_conv", f"hydra.run.dir={tmp_path / 'r'}"
    )
    assert Record.read(tmp_path / "r").choices["recipe"] == "pretrained_conv"


def test_an_unknown_recipe_is_named_with_the_nearest_one(compose):
    with pytest.raises(
        LandbridgeError, match=r"recipe=pretraind_conv +there is no such option; nearest: pretrained_conv"
    ):
        compose("recipe=pretraind_conv")


def test_a_recipe_without_its_first_line_is_refused(compose):
    cfg = OmegaConf.create({**compose(), "recipe": {"data": {"batch_size": 3}}})
    with pytest.raises(LandbridgeError, match=r"recipe +a recipe file's first line must be"):
        check(cfg)
