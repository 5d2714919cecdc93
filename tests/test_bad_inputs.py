"""Mistakes of users on the command line: each ends in a sentence that says what to type, and leaves nothing behind."""

import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from landbridge.cli.grammar import typed_as

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
