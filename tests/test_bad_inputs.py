"""Mistakes of users on the command line: each ends in a sentence that says what to type, and leaves nothing behind."""

import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from landbridge.cli.grammar import typed_as
from landbridge.data.domain import Domain
from landbridge.models.backbones.timm_models import Timm

W = "source=null target=uci_digits strategy=target_only target_labels=5 trainer.max_epochs=1"


@pytest.fixture
def refused(main_here, tmp_path, capsys, monkeypatch):
    """A function that types a command, and returns its message. The command must fail and leave nothing behind."""
    monkeypatch.setenv("COLUMNS", "120")

    def typed(line: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as stopped:
            main_here(*shlex.split(line))
        said = capsys.readouterr()
        assert stopped.value.code == 1
        assert "Traceback" not in said.err + said.out
        assert sorted(tmp_path.rglob("*")) == before
        # A new line starts a new problem; a sentence is one line.
        return said.err

    return typed


GRAMMAR = [
    ("target=image_folder target.root=~/x", r"""this value needs quotes; type 'target\.root="~/x"'"""),
    ("target=image_folder target.root=a=b", r"""type 'target\.root="a=b"'"""),
    ("target=image_folder target.root=a,b", r"""type 'target\.root=\[a,b\]' for a list and 'target\.root="a,b"' for"""),
    ("target=image_folder target.root=my photos", r"photos +if this belongs to the value before, type .*my photos'"),
    ("target=image_folder 'target.root=/tmp/my(photos)'", r"""type 'target\.root="/tmp/my\(photos\)"'"""),
    ("target=image_folder target.root=été", r"""type 'target\.root="été"'"""),
    ("target=image_folder 'target.root=${HOME}/x'", r"HOME is a variable of the shell; type .*\$\{oc\.env:HOME\}/x'"),
    ("target=image_folder target.root=", r"has no value; type target\.root=VALUE, or target\.root=null for none"),
    ("strategy = dann", r"strategy = dann +no blanks around '='; type strategy=dann$"),
    ("strategy= dann", r"^ +strategy= dann +no blanks around '='; type strategy=dann$"),
    ("strategy =dann", r"no blanks around '='; type strategy=dann$"),
    ("dann", r"dann +say what it is for; type strategy=dann$"),
    ("entropy", r"type selection=entropy or strategy=entropy$"),
    ("landbridge dann", r"landbridge +this is the command itself; leave the word out\n +dann +say .* strategy=dann$"),
    ("+strategy=dann", r"a choice has no plus sign; type strategy=dann$"),
    ("++strategy=dann", r"a choice has no plus sign; type strategy=dann$"),
    ("-strategy=dann", r"settings have no dashes; type strategy=dann$"),
    ("--strategy dann", r"settings have no dashes; type strategy=dann$"),
    ("--seed=3", r"settings have no dashes; type seed=3$"),
    ("strategy:dann", r"settings have an equals sign; type strategy=dann$"),
    ("strategy==dann", r"one equals sign is enough; type strategy=dann$"),
    ("strategy.dann", r"has no value; type strategy=dann$"),
    ("strategy", r"has no value; type strategy=\.\.\.$"),
    ("seed 3", r"settings have an equals sign; type seed=3$"),
    ("seed=1,2", r"several values are a sweep; add -m, or type"),
    ("'seed=range(0,3)'", r"several values are a sweep; add -m$"),
    ("backbone=resnet18,resnet50", r"several options need a sweep: add -m$"),
    ("-m seed=1,,2", r"a value between commas is missing; type seed=1,2$"),
    ("optimizer.betas=[0.9,0.99", r"the brackets do not match; each \[ needs a \]$"),
    ("optimizer.lr='\"1'", r"the quotes do not match; type optimizer\.lr=1$"),
    ("=dann", r"the name of the setting is missing; type NAME=dann$"),
    ("~strategy", r"landbridge needs a value for strategy; type strategy=\.\.\.$"),
    ("stratgy=dann", r"landbridge has no such setting; nearest: strategy$"),
    ("strategy/x=dann", r"^strategy/x: there is no such setting or group$"),
    ("hydra/launcher=nonsense", r"there is no such option; options: basic, landbridge, slurm$"),
    ("hydra.job.nme=x", r"there is no such setting or group; nearest: hydra\.job\.name$"),
    ("-m hydra.launcher.n_jobs=abc seed=1,2", r"^hydra\.launcher\.n_jobs=abc: Value 'abc' .* converted to Integer$"),
]

FLAGS = [
    ("--resolve", r"^--resolve changes what --cfg shows: type landbridge --cfg job --resolve"),
    ("--package x", r"^--package changes what --cfg shows"),
    ("--experimental-rerun x.pickle", r"landbridge writes no such file; the report of a run shows the command"),
    ("--multirun --run", r"^--run and --multirun cannot be used together: choose one of them$"),
    ("--cfg", r"^--cfg/-c: expected one argument"),
    ("--cfg foo", r"^--cfg/-c: invalid choice: 'foo' \(choose from 'job', 'hydra', 'all'\)"),
    ("--halp", r"there is no such flag; nearest: --help$"),
    ("--shell-completion", r"^--shell-completion needs install=SHELL, "),
    ("--config-dir /nonexistent", r"^--config-dir /nonexistent: there is no such folder$"),
    ("--config-path /tmp", r"holds no train\.yaml: type --config-dir /tmp, which adds a folder$"),
    ("--config-name foo", r"^Cannot find primary config 'foo'"),
]


BUILDING = [
    (
        "backbone=resnet18 backbone.options={in_chans:4}",
        r"^backbone\.options\.in_chans=4: images have 1 channel",
    ),
    ("backbone=resnet18 backbone.options={num_classes:5}", r"^backbone\.options\.num_classes=5: landbridge sets this"),
    ("backbone=resnet18 backbone.options={drop_rate:abc}", r"^backbone\.options\.drop_rate=abc: could not convert"),
    ("backbone=resnet18 backbone.options={nonsense:1}", r"^backbone\.options\.nonsense=1: ResNet.* got an unexpected"),
    ("backbone=resnet18 backbone.options={img_size:wide}", r"options\.img_size=wide is neither a number of pixels nor"),
    (
        "backbone=resnet18 \"backbone.options={global_pool:''}\"",
        r"^backbone: the features of two samples have",
    ),
    ("backbone=resnet18.nosuchtag", r"backbone\.name +timm has no weights 'nosuchtag' of resnet18; it has a1_in1k, "),
    ("backbone=mlp backbone.widths=[]", r"backbone\.widths +\[\] is not a list of length >= 1$"),
    (
        "backbone=mlp backbone.widths=[1000000000000]",
        r"^backbone\.widths=\[1000000000000\]: this needs 3,136,000\.0 GB",
    ),
    ("head=mlp head.widths=[1000000000000]", r"^head\.widths=\[1000000000000\]: this needs .* this machine has .* GB$"),
    ("tuning=lora tuning.rank=100000000000", r"^tuning\.rank=100000000000: this needs .* GB$"),
    ("logger=wandb logger.project=a/b", r"^logger\.project=a/b: Invalid project name 'a/b'"),
    ("logger=wandb logger.nonsense=1", r"^logger\.nonsense=1: init\(\) got an unexpected keyword argument"),
    ("logger=csv logger.flush_logs_every_n_steps=0", r"logger\.flush_logs_every_n_steps +0 is not an integer >= 1$"),
    ("trainer.accumulate_grad_batches=0", r"trainer\.accumulate_grad_batches +0 is not an integer >= 1$"),
    ("trainer.gradient_clip_val=-1", r"trainer\.gradient_clip_val +-1 is not a number > 0$"),
    ("trainer.max_epochs=100000000000", r"trainer\.max_epochs +100000000000 is not an integer <= 1000000$"),
    (
        "trainer.precision=transformer-engine",
        r"^trainer\.precision=transformer-engine: Requirement",
    ),
    ("trainer.strategy=ddp_spawn", r"^trainer\.strategy=ddp_spawn copies the run into new processes.*; nearest: ddp$"),
    ("trainer.strategy=deepspeed", r"^trainer\.strategy=deepspeed: To use the `DeepSpeedStrategy`"),
    ("trainer.devices=[0,0] trainer.accelerator=cpu", r"^trainer\.devices=\[0, 0\]: `devices` selected with `CPUAcc"),
    ("trainer.accelerator=tpu", r"^trainer\.accelerator=tpu, .*Requirement 'torch_xla"),
]


@pytest.mark.parametrize(("more", "says"), BUILDING, ids=lambda text: text if "=" in text else None)
def test_what_a_library_refuses_is_one_sentence_with_setting_value_and_reason(more, says, refused):
    said = refused(f"{W} {more}")
    assert re.search(says, said, re.MULTILINE), said
    assert len(said.splitlines()) <= 3


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


@pytest.mark.parametrize(("line", "says"), GRAMMAR + FLAGS, ids=lambda text: text if "=" in text else None)
def test_what_hydra_cannot_read_is_answered_with_what_to_type(line, says, refused):
    said = refused(line)
    assert re.search(says, said, re.MULTILINE), said
    assert "++" not in said or "++" in line
    assert len(said.splitlines()) <= 3


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
