"""Every file of `conf/` composes and passes `check`, and later choices override earlier ones."""

import re

import pytest
import yaml
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.config.check import check
from landbridge.errors import LandbridgeError

CONF = conf_folder()
FILES = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
OPTIONS = [(path.parent.as_posix(), path.name) for path in FILES if path.parent.parts]
# Values that only a user can give.
GIVEN = {
    ("start", "checkpoint"): ["start.path=some.ckpt"],
    ("backbone", "timm"): ["backbone.name=test_resnet"],
    ("strategy", "soup"): ["strategy.folder=outputs"],
    ("freeze", "surgical"): ["freeze.stages=1"],
}


@pytest.mark.parametrize(
    ("group", "option"), [pair for pair in OPTIONS if pair[0] not in ("domain", "experiment") and "/" not in pair[0]]
)
def test_every_option_of_every_group_composes_and_passes_the_check(group, option, compose):
    cfg = compose(f"{group}={option}", *GIVEN.get((group, option), []))
    check(cfg)


@pytest.mark.parametrize("domain", [option for group, option in OPTIONS if group == "domain"])
def test_every_domain_can_be_source_and_target(domain, compose):
    cfg = compose(f"source={domain}", f"target={domain}")
    check(cfg)
    assert cfg.source == cfg.target == OmegaConf.load(CONF / "domain" / f"{domain}.yaml")


@pytest.mark.parametrize("name", [option for group, option in OPTIONS if group == "experiment"])
def test_every_experiment_composes_and_passes_the_check(name, compose):
    check(compose(f"experiment={name}"))


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_first_two_lines_of_an_experiment_are_its_package_and_its_command(path):
    package, command, *_ = path.read_text().splitlines()
    assert package == "# @package _global_"
    assert re.match(r"# (python -m )?landbridge .*experiment=" + path.stem, command)


def test_an_experiment_overrides_the_root_and_the_command_line_overrides_both(compose):
    root = compose()
    assert root.trainer.max_epochs != 1
    assert compose("experiment=tiny").trainer.max_epochs == 1
    assert compose("experiment=tiny", "trainer.max_epochs=9").trainer.max_epochs == 9
    assert compose("experiment=tiny").source.name == "noon"
    assert (
        compose("experiment=tiny", "source=uci_digits").source._target_ == "landbridge.data.sources.digits.uci_digits"
    )


def test_an_experiment_overrides_the_values_at_the_root(compose, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "seven.yaml").write_text("# @package _global_\nseed: 7\nname: seven\n")
    cfg = compose("experiment=seven", config_dir=tmp_path)
    assert (cfg.seed, cfg.name) == (7, "seven")


def test_an_experiment_without_its_package_line_is_refused(compose, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "lost.yaml").write_text("# a comment first\n# @package _global_\nseed: 7\n")
    cfg = compose("experiment=lost", config_dir=tmp_path)
    with pytest.raises(LandbridgeError, match="first line must be `# @package _global_`"):
        check(cfg)


@pytest.mark.parametrize("path", [f"{path}.yaml" for path in FILES])
def test_defaults_lists_have_no_misspelt_keyword(path):
    defaults = (yaml.safe_load((CONF / path).read_text()) or {}).get("defaults", [])
    for entry in defaults:
        for key in entry if isinstance(entry, dict) else []:
            *keywords, _ = key.split()
            assert set(keywords) <= {"override", "optional"}, key


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_any_timm_model_can_be_chosen_as_a_backbone_by_its_name(name, compose):
    cfg = compose(f"backbone={name}")
    assert cfg.backbone == {"_target_": "landbridge.models.backbones.timm_models.Timm", "name": name}
    check(cfg)


def test_a_file_takes_precedence_over_a_timm_model_of_the_same_name(compose):
    assert compose("backbone=efficientnet_lite0").backbone.name == "tf_efficientnet_lite0"


@pytest.mark.parametrize("name", ["resnet5O", "test_resnett"])
def test_an_unknown_backbone_is_refused_with_the_nearest_name(name, compose):
    with pytest.raises(LandbridgeError, match=rf"backbone\.name +timm has no model '{name}'; nearest: \w+"):
        check(compose(f"backbone={name}"))


@pytest.mark.parametrize("override", ["strategy=dnan", "optimizer=adamm", "source=mnits"])
def test_an_unknown_option_of_a_group_is_refused(override, compose):
    with pytest.raises(LandbridgeError, match=rf"{override} +there is no such option; nearest: "):
        compose(override)
