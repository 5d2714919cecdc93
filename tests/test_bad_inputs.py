"""What users type reaches landbridge as they meant it; `test_daily_use` has a table of their mistakes."""

import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from landbridge.cli.grammar import typed_as
from landbridge.cli.overrides import as_additions
from landbridge.data.domain import Domain
from landbridge.models.backbones.timm_models import Timm
from landbridge.sweeps.grid import grid

W = "source=null target=uci_digits strategy=target_only target_labels=5 trainer.max_epochs=1"


def test_a_sweep_may_have_runs_without_an_option(main_here):
    parsed = OverridesParser.create().parse_overrides(as_additions(["source=null,mnist", "seed=1", "-m"])[1:])
    assert grid(parsed) == [["~source", "++seed=1"], ["source=mnist", "++seed=1"]]


def test_an_error_of_landbridge_itself_keeps_its_traceback(main_here, monkeypatch):
    def broken(self: Domain) -> None:
        raise ValueError("a bug")

    broken.__globals__["__name__"] = "landbridge.data.domain"
    monkeypatch.setattr(Domain, "__post_init__", broken)
    with pytest.raises(ValueError, match="a bug"):
        main_here(*W.split())


def test_images_of_an_option_may_be_higher_than_wide():
    backbone = Timm("vit_tiny_patch16_224", options={"img_size": [96, 64]})
    assert backbone.format.size == (96, 64)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1))
def test_a_quoted_text_arrives_as_it_was_typed(text):
    (word,) = shlex.split(typed_as("target.root", text))
    override = OverridesParser.create().parse_override(word)
    assert not override.is_sweep_override()
    assert OmegaConf.create({"root": override.value()}).root == text


def test_the_version_is_that_of_landbridge(main_here, capsys):
    with pytest.raises(SystemExit) as stopped:
        main_here("--version")
    assert not stopped.value.code
    assert re.match(r"landbridge \d+\.\d+\.\d+ \(Hydra ", capsys.readouterr().out)


@pytest.mark.parametrize("group", ["strategy", "domain"])
def test_the_folder_of_the_user_wins_in_every_group(group, main_here, tmp_path, capsys):
    (tmp_path / "own" / group).mkdir(parents=True)
    name = {"strategy": "dann", "domain": "usps"}[group]
    (tmp_path / "own" / group / f"{name}.yaml").write_text("_target_: my.own\n")
    main_here("--config-dir", str(tmp_path / "own"), "strategy=dann", "target=usps", "--cfg", "job")
    said = capsys.readouterr()
    assert "_target_: my.own" in said.out
    assert f"{name}.yaml is read in place of landbridge's own file of this name" in said.err


def test_folders_named_after_overrides_have_them_as_they_were_typed(main_here, tmp_path):
    main_here(*f"{W} trainer.max_epochs=1 logger=null".split(), "hydra.run.dir=${hydra.job.override_dirname}")
    (folder,) = (path for path in tmp_path.iterdir() if "source=null" in path.name)
    assert "+" not in folder.name
    assert (folder / "record.json").exists()
