"""The command line: runs in their own processes, and the conversion of overrides."""

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from landbridge.cli.options import OPTIONAL
from landbridge.cli.overrides import as_additions, as_typed
from landbridge.config.slots import SLOTS
from landbridge.errors import LandbridgeError
from landbridge.record import Record

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"
TINY = ("--config-dir", str(TESTS / "conf"), "experiment=tiny")


@pytest.fixture
def command(tmp_path):
    """A function that runs `python -m landbridge` in the folder of this test."""
    path = os.pathsep.join([str(SOURCE), str(TESTS)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

    def run(*arguments: str, python: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *python, "-m", "landbridge", *arguments],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def imported(importtime: str) -> set[str]:
    """Return the packages that `python -X importtime` lists."""
    return {line.rpartition("|")[2].strip().split(".")[0] for line in importtime.splitlines() if "import time" in line}


def spent() -> float:
    """Return the processor seconds of ended child processes. Wall time would depend on the load of the machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("question", [("--cfg", "job"), ("--help",)])
def test_help_and_configuration_are_printed_at_once(question, command):
    answer = command(*question, python=("-X", "importtime"))
    assert answer.returncode == 0
    assert "digits_cnn" in answer.stdout.lower() or "DigitsCNN" in answer.stdout
    packages = imported(answer.stderr)
    assert "hydra" in packages
    assert not packages & {"torch", "pytorch_lightning", "timm", "torchvision", "sklearn", "wandb", "numpy"}
    seconds = []
    for _ in range(3):
        began = spent()
        assert command(*question).returncode == 0
        seconds.append(spent() - began)
    assert min(seconds) < 1


@pytest.mark.slow
def test_a_run_leaves_a_record_and_a_table(command, tmp_path):
    answer = command(*TINY, "seed=3", "hydra.run.dir=out", "logger=csv")
    assert answer.returncode == 0, answer.stderr
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["schema"], record["status"]) == (2, "done")
    assert record["overrides"] == ["experiment=tiny", "seed=3", "logger=csv"]
    assert record["choices"]["strategy"] == "source_only"
    for role, name in (("source", "noon"), ("target", "dusk")):
        accuracy = f"{record['results'][role]['accuracy']:.3f}"
        assert re.search(rf"{name} +│ {role} +│ +12 │ +{accuracy}", answer.stdout)
    with (tmp_path / "out" / "csv" / "version_0" / "metrics.csv").open() as file:
        assert list(csv.DictReader(file))


@pytest.mark.slow
def test_typos_are_reported_in_a_few_lines(command, tmp_path):
    answer = command(*TINY, "strategy.backbone_lr_scael=2", "trainer.max_epoch=1")
    assert answer.returncode == 1
    assert "2 problems in the configuration" in answer.stderr
    assert re.search(r"trainer\.max_epoch +Trainer has no such setting; nearest: max_epochs", answer.stderr)
    assert re.search(r"strategy\.backbone_lr_scael .*nearest: backbone_lr_scale", answer.stderr)
    assert "Traceback" not in answer.stderr + answer.stdout
    assert len(answer.stderr.splitlines()) < 12
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("stratgy=dann", "lr=1"), r"stratgy=dann +landbridge has no such setting; nearest: strategy"),
        (("strategy.wieght=2",), r"strategy\.wieght +DANN has no such setting"),
        (("optimizer.lrr=1", "target.rot=x"), r"2 problems in the configuration"),
    ],
)
def test_a_typo_in_a_name_is_reported_before_torch_is_imported(typed, said, command, tmp_path):
    answer = command(*typed, python=("-X", "importtime"))
    assert answer.returncode == 1
    assert re.search(said, answer.stderr)
    assert not imported(answer.stderr) & {"torch", "pytorch_lightning", "timm", "sklearn", "numpy"}
    assert not list(tmp_path.iterdir())


def test_the_full_error_is_shown_on_request(main_here, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        main_here(*TINY, "sede=1")
    assert stopped.value.code == 1
    assert "nearest: seed" in capsys.readouterr().err
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    GlobalHydra.instance().clear()
    with pytest.raises(LandbridgeError, match="nearest: seed"):
        main_here(*TINY, "sede=1")


# ---- overrides


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("seed=1", "++seed=1"),
        ("+seed=1", "++seed=1"),
        ("++seed=1", "++seed=1"),
        ("strategy.weight=0.5", "++strategy.weight=0.5"),
        ("+strategy.weight=0.5", "++strategy.weight=0.5"),
        ("target.root='a=b.c'", "++target.root='a=b.c'"),
        ("target.root=my photos", "++target.root=my photos"),
        ("name='a b'", "++name='a b'"),
        ("strategy=dann", "strategy=dann"),
        ("target=mnist", "target=mnist"),
        ("experiment=sim_to_real", "experiment=sim_to_real"),
        ("logger=null", "~logger"),
        ("source=null", "~source"),
        ("averaging=null", "~averaging"),
        ("hydra.run.dir=x", "hydra.run.dir=x"),
        ("hydra/launcher=basic", "hydra/launcher=basic"),
    ],
)
def test_settings_get_a_prefix_and_choices_do_not_change(typed, given):
    assert as_additions([typed]) == [given]
    assert as_additions([given]) == [given]
    assert as_typed([given]) == [typed.lstrip("+")]


def test_flags_may_stand_anywhere():
    assert as_additions(["seed=1,2,3", "-m"]) == ["-m", "++seed=1,2,3"]
    assert as_additions(["seed=1", "-m", "strategy=dann"]) == ["-m", "++seed=1", "strategy=dann"]
    assert as_additions(["seed=1", "--cfg", "job", "name=x"]) == ["--cfg", "job", "++seed=1", "++name=x"]


def test_groups_that_a_run_may_leave_out_are_those_of_the_configuration():
    assert {name for name, slot in SLOTS.items() if slot.optional} == OPTIONAL


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["stratgy=dann"], r"stratgy=dann +landbridge has no such setting; nearest: strategy$"),
        (["sede=1", "stratgy.weight=2"], r"2 problems.*\n +sede=1 .*nearest: seed\n +stratgy\.weight=2 .*strategy$"),
        (["strategy=dan2"], r"strategy=dan2 +there is no such option; nearest: dan$"),
        (["+source=mnits"], r"source=mnits +there is no such option; nearest: mnist$"),
        (["trainer="], r"trainer= +there is no such option; options: auto, cpu, "),
        (["trainer=5"], r"trainer=5 +there is no such option; options: auto, cpu, "),
        (["data=null"], r"data=null +there is no such option; options: default"),
        (["experiment=[sim_to_real,sim_to_reel]"], r"experiment=sim_to_reel +there is .*nearest: sim_to_real$"),
        (["strategy=[dann,dan]"], r"takes one option; `-m strategy=dann,dan` runs one after the other$"),
        (["strategy=dann,dan"], r"several options need a sweep: add -m$"),
        (["-m", "strategy=dann,dnan"], r"strategy=dnan +there is no such option; nearest: dan"),
        (["optimizer=adm", "selection=oracel"], r"2 problems.*\n +optimizer=adm +.*\n +selection=oracel +.*oracle$"),
    ],
)
def test_wrong_choices_of_options_are_refused_before_hydra_composes(arguments, problem):
    with pytest.raises(LandbridgeError) as refused:
        as_additions(arguments)
    assert re.search(problem, str(refused.value))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "strategy=dann,dan", "experiment=null"],
        ["-m", "strategy=glob(d*)", "source=choice(mnist,usps)"],
        ["hydra.searchpath=[file://elsewhere]", "strategy=mine"],
        ["backbone=resnet50", "experiment=[sim_to_real]", "strategy='dann'", "target=${source}"],
    ],
)
def test_values_that_only_hydra_can_resolve_do_not_change(arguments):
    assert as_additions(arguments) == arguments


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_its_exit_code_and_prints_how_to_continue(sent, code, tmp_path):
    path = os.pathsep.join([str(SOURCE), str(TESTS)])
    command = [sys.executable, "-m", "landbridge", *TINY, "trainer.max_epochs=100000", "hydra.run.dir=out"]
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Background processes of a shell ignore Ctrl-C, and their children inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not (tmp_path / "out" / "last.ckpt").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sent)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == code
    assert f"hydra.run.dir={tmp_path / 'out'} resumes this run" in said
    assert "Traceback" not in said
    record = Record.read(tmp_path / "out")
    assert (record.status, record.reason) == ("failed", "interrupted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hydra.run.dir={}/file/run"], "file/run: Not a directory"),
        (["--config-dir", "{}/broken", "strategy=broken"], "broken.yaml, line 2"),
        (["hydra.run.dri=x"], r"hydra\.run\.dri: there is no such setting or group; nearest: hydra\.run\.dir"),
    ],
)
def test_mistakes_found_by_other_packages_give_no_traceback(arguments, said, main_here, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "broken" / "strategy").mkdir(parents=True)
    (tmp_path / "broken" / "strategy" / "broken.yaml").write_text("a: [1\n b: 2\n")
    with pytest.raises(SystemExit) as stopped:
        main_here(*(argument.format(tmp_path) for argument in arguments))
    assert stopped.value.code == 1
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize("flag", [["--config-dir", "{}"], ["-cd", "{}"], ["--config-dir={}"]])
def test_groups_in_the_config_dir_of_the_user_are_choices_too(flag, tmp_path):
    (tmp_path / "augmentation").mkdir()
    (tmp_path / "augmentation" / "flip.yaml").touch()
    arguments = [each.format(tmp_path) for each in flag]
    assert as_additions([*arguments, "augmentation=flip", "seed=1"]) == [*arguments, "augmentation=flip", "++seed=1"]
    with pytest.raises(LandbridgeError, match=r"augmentation=flip +landbridge has no such setting"):
        as_additions(["augmentation=flip"])
