"""The sweeps in `conf/experiment/`: the command in each file composes and passes the check, for every job."""

import re
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "conf" / "experiment"
#: For each sweep, the override that makes it smaller in this test, and the number of jobs that remain.
SWEEPS = {
    "freezing_depth": ("freeze.depth=0,all", 6),
    "learning_rate": ("seed=0", 5),
    "domain_pairs": ("seed=0", 6),
    "strategies": ("strategy=source_only,shot", 2),
    "label_efficiency": ("target_labels=1,all", 4),
    "seeds": ("strategy=source_only", 6),
    "demo": ("seed=0", 4),
    "negative_transfer": ("seed=0", 10),
}


def axes(told: str) -> set[str]:
    """Return the settings that the table of jobs lists."""
    return set(re.findall(r"[\w.]+=[\w.]+", told))


def test_every_sweep_is_listed_here():
    swept = {path.stem for path in EXPERIMENTS.glob("*.yaml") if "params:" in path.read_text()}
    assert swept == SWEEPS.keys()


@pytest.mark.parametrize("name", SWEEPS)
def test_the_command_in_each_file_composes_and_passes_the_check(name, sweep):
    first, second = (EXPERIMENTS / f"{name}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_"
    command = second.removeprefix("# landbridge -m ").split()
    assert f"experiment={name}" in command
    fewer, jobs = SWEEPS[name]
    command = [each for each in command if each.partition("=")[0] != fewer.partition("=")[0]]
    code, told = sweep(*command, fewer, "hydra.launcher.dry_run=true", base=())
    assert code == 0, told
    assert told.count("to run") == jobs


def test_experiments_can_be_combined(sweep):
    code, told = sweep(
        *("experiment=[learning_rate,seeds]", "seed=range(2)", "strategy=source_only,dann"),
        "hydra.launcher.dry_run=true",
        base=(),
    )
    assert code == 0, told
    assert told.count("to run") == 5 * 2 * 2


def test_pairs_of_a_domain_with_itself_are_left_out(sweep):
    _, told = sweep("experiment=domain_pairs", "source=uci_digits", "hydra.launcher.dry_run=true", base=())
    assert "left out 1 of 3 jobs, where source and target are equal" in told
    assert axes(told) == {"target=mnist_5k", "target=rendered_digits"}


@pytest.mark.parametrize("strategy", ["linear_probe", "logistic"])
def test_heads_on_frozen_features_ignore_the_freezing_depth(strategy, sweep):
    _, told = sweep(
        *(f"strategy={strategy},fine_tune", "freeze.depth=0,1", "target_labels=2"), "hydra.launcher.dry_run=true"
    )
    assert told.count("to run") == 3
    assert told.count("the same as job 0") == 1
