"""Mistakes of users on the command line: each ends in a sentence that says what to type, and leaves nothing behind."""

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


#: Further mistakes, each with words of its message. `W` stands for a small run.
FURTHER = [
    ("strategy=DANN", "there is no such option; nearest: dann"),
    ("strategy=dann.yaml", "there is no such option; nearest: dann"),
    ("strategy=strategy/dann", "there is no such option; nearest: dann"),
    ("source=MNIST", "there is no such option; nearest: mnist"),
    ("target=./photos", "this is a path; type target=image_folder target.root=./photos"),
    ("target=reviews.csv", "this is a path; type target=table target.file=reviews.csv"),
    ("target=features.npz", "this is a path; type target=vectors target.file=features.npz"),
    ("batch_size=32", "landbridge has no such setting; nearest: data.batch_size"),
    ("lr=0.1", "nearest: optimizer.lr"),
    ("epochs=5", "nearest: trainer.max_epochs"),
    ("device=cuda", "nearest: trainer.accelerator"),
    ("gpus=2", "nearest: trainer.devices"),
    ("model=resnet50", "nearest: backbone"),
    ("pretrained=true", "nearest: start=pretrained"),
    ("data_dir=photos", "nearest: target=image_folder target.root=..."),
    ("output_dir=x", "nearest: hydra.run.dir"),
    ("optimizer.lr=0,001", "decimals have a point; type optimizer.lr=0.001, or add -m"),
    ("optimizer=SGD", "there is no such option; nearest: sgd"),
    ("freeze=true", "there is no such option; options: depth, gradual"),
    ("start=pretrain", "there is no such option; nearest: pretrained"),
    ("selection=best", "there is no such option; options: bnm"),
    ("logger=wb", "there is no such option; options: csv, none"),
    ("logger=[csv,wandb]", "takes one option; `-m logger=csv,wandb`"),
    ("cache=on", "there is no such option; options: activations, off"),
    ("backbone=torchvision/resnet50", "and the names of timm's models"),
    ("--config-dir=", "--config-dir (empty): there is no such folder"),
    ("--multirun=true", "--multirun/-m: ignored explicit argument 'true'"),
    ("--verbose", "there is no such flag; type hydra.verbose=true"),
    ("--dry-run", "type -m ... hydra.launcher.dry_run=true"),
    ("-n 4", "there is no such flag; type hydra.launcher.n_jobs=..."),
    ("-q", "there is no such flag; landbridge --hydra-help lists them"),
    ("help", "this is a flag; type --help"),
    ("version", "this is a flag; type --version"),
    ("train strategy=dann", "this is not a setting; type NAME=VALUE"),
    ("optimizer/adam", "an option is chosen with an equals sign; type optimizer=adam"),
    ("conf/experiment/demo.yaml", "an option is chosen with an equals sign; type experiment=demo"),
    ("-m 'seed=range(5'", "the brackets do not match; each ( needs a )"),
    ("-m 'seed=1;2;3'", "several values have commas between them; type seed=1,2,3"),
    ("-m 'seed=interval(0,1)'", "seed=interval(0,1): an interval has infinitely many values"),
    ("-m hydra.launcher.njobs=2", "hydra.launcher.njobs: there is no such setting or group"),
    ("-m hydra.sweeper.distinct=source", "hydra.sweeper.distinct=source: Invalid value assigned"),
    ("--config-dir own strategy=tabs", "tabs.yaml, line 2, column 1: found character"),
    ("--config-dir own strategy=other", "there is no package 'my'"),
    ("--config-dir own experiment=headless", "an experiment file's first line must be `# @package _global_`"),
    ("--config-dir own experiment=typo", "Trainer has no such setting; nearest: max_epochs"),
    ("--config-dir own experiment=wrong", "experiment/wrong: stratgy: there is no such setting or group"),
    ("W seed=1e3", "1000.0 is not an integer"),
    ("W seed=4294967296", "is not an integer >= 0 and < 4294967296"),
    ("W target_labels=50%", "'50%' is not an integer >= 0 or 'all'"),
    ("W data.batchsize=32", "TransferData has no such setting; nearest: batch_size"),
    ("W optimizer.lr=1e-3x", "'1e-3x' is not a number"),
    ("W trainer.devices=cuda:0 trainer.accelerator=cpu", "trainer.devices=cuda:0: `devices` selected with"),
    ("W backbone=ResNet50", "timm has no model 'ResNet50'; nearest: resnet50"),
    ("W head.dropout=0.5", "Linear has no such setting; it has none"),
    ("W start.path=x.ckpt", "Scratch has no such setting; it has none"),
    ("W start=checkpoint", "needs a value in place of '???'"),
    ("W start=checkpoint start.path=none.ckpt", "start.path: cannot read none.ckpt: No such file or directory"),
    ("W name=a/b", "is not a valid folder name"),
    ("W transductive=yes", "'yes' is not true or false"),
    ("W terms=mcc", "'mcc' is not a list or a mapping of terms"),
    ("W terms={mcc:-1}", "-1 is not a number >= 0"),
    ("W hydra.run.dir=/dev/null", "/dev/null: File exists"),
    ("W 'optimizer.lr=${nothing}'", "Interpolation key 'nothing' not found"),
    ("W optimizer._target_=torch.optim.Adamm", "torch.optim has no 'Adamm'; nearest: Adam"),
]

FILES = {
    "strategy/tabs.yaml": "_target_: landbridge.strategies.DANN\n\tweight: 1\n",
    "strategy/other.yaml": "_target_: my.package.Strategy\n",
    "experiment/headless.yaml": "seed: 7\n",
    "experiment/typo.yaml": "# @package _global_\ntrainer: {max_epoch: 7}\n",
    "experiment/wrong.yaml": "# @package _global_\ndefaults:\n  - override /stratgy: dann\n",
}


@pytest.mark.parametrize(("line", "says"), FURTHER, ids=[line for line, _ in FURTHER])
def test_further_mistakes_are_answered(line, says, refused, tmp_path):
    for file, content in FILES.items():
        path = tmp_path / "own" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    said = refused(line.replace("W ", f"{W} "))
    assert says in said, said
    assert "++" not in said


def test_a_sweep_may_have_runs_without_an_option(main_here):
    parsed = OverridesParser.create().parse_overrides(as_additions(["source=null,mnist", "seed=1", "-m"])[1:])
    assert grid(parsed) == [["~source", "++seed=1"], ["source=mnist", "++seed=1"]]


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
