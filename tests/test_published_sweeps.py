"""The published benchmarks: their sweeps, and the commands that their pages show."""

import argparse
import re
import shlex
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from landbridge.cli.config_sources import conf_folder
from landbridge.report.inserted import BEGIN, END
from landbridge.sweeps.grid import grid

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
office, publish, transfer = map(import_module, ("office", "publish", "transfer"))
sys.path.remove(str(ROOT / "benchmarks"))

EVERY = (list(transfer.BLOCKS), transfer.PAIRS)


def jobs(sweep):
    return grid(OverridesParser.create().parse_overrides(shlex.split(sweep)))


def test_no_run_is_planned_twice_and_each_seed_has_the_same_runs():
    planned = [tuple(sorted(job)) for sweep in transfer.sweeps(*EVERY, seeds=8) for job in jobs(sweep)]
    assert max(Counter(planned).values()) == 1
    by_seed = [
        sorted(tuple(each for each in job if each != f"seed={seed}") for job in planned if f"seed={seed}" in job)
        for seed in range(8)
    ]
    assert all(own == by_seed[0] for own in by_seed)
    assert len(planned) == 8 * len(by_seed[0])


def test_all_methods_of_the_first_seeds_come_before_the_other_seeds():
    portions = [re.search(r"seed=([0-9,]+)", sweep)[1] for sweep in transfer.sweeps(*EVERY, seeds=8)]  # type: ignore[index]
    assert sorted(portions) == portions
    assert list(dict.fromkeys(portions)) == ["0,1,2,3,4", "5,6,7"]
    # Within a sweep the seed varies slowest.
    assert [job[0] for job in jobs("seed=0,1 strategy=a,b")] == ["seed=0", "seed=0", "seed=1", "seed=1"]


def test_every_strategy_exists_and_every_self_training_method_has_its_ablation():
    named = {*transfer.PLAIN, *transfer.WEAK, *transfer.PRIOR, transfer.CONTROL, transfer.REFERENCE}
    named |= {*office.METHODS, *office.ON_PREDICTIONS}
    assert named <= {file.stem for file in (conf_folder() / "strategy").glob("*.yaml")}
    own = [job for sweep in transfer.sweeps(["weak"], transfer.PAIRS[:1], seeds=1) for job in jobs(sweep)]
    ablated = {
        each.partition("=")[2]: job
        for job in own
        for each in job
        if each.startswith("strategy=")
        if any(setting.startswith("strategy.") for setting in job)
    }
    assert ablated.keys() == transfer.ABLATIONS.keys()
    assert all(transfer.ABLATIONS[name] in job for name, job in ablated.items())


def chosen(job, group):
    return next((each.partition("=")[2] for each in job if each.startswith(f"{group}=")), None)


@pytest.mark.parametrize(
    "sweeps",
    [transfer.sweeps(list(transfer.BLOCKS), transfer.PAIRS[:1], seeds=1), office.sweeps(Path("/data"), seeds=1)],
    ids=["digits", "office"],
)
def test_every_method_that_sets_a_head_has_a_reference_with_this_head(sweeps):
    planned = [job for sweep in sweeps for job in jobs(sweep)]

    def rest(job):
        return {each for each in job if each.partition("=")[0] not in ("strategy", "head")}

    references = [job for job in planned if chosen(job, "strategy") == transfer.REFERENCE]
    with_heads = 0
    for job in planned:
        own = re.search(
            r"override /head: (\w+)", (conf_folder() / f"strategy/{chosen(job, 'strategy')}.yaml").read_text()
        )
        if own:
            with_heads += 1
            assert any(chosen(each, "head") == own[1] and rest(each) == rest(job) for each in references), job
    assert with_heads


def test_a_prepared_sweep_has_no_method_that_sets_a_head_beside_a_reference_with_another():
    for file in (conf_folder() / "experiment").glob("*.yaml"):
        for names in re.findall(r"strategy: ([a-z0-9_]+(?:,[a-z0-9_]+)+)", file.read_text()):
            for name in names.split(","):
                assert "/head:" not in (conf_folder() / "strategy" / f"{name}.yaml").read_text(), (file.name, name)


@pytest.mark.parametrize("block", transfer.BLOCKS)
def test_the_page_shows_the_sweep_of_each_block(block):
    shown = [
        shlex.split(line)
        for line in (ROOT / "docs/results.md").read_text().splitlines()
        if line.startswith("landbridge -m ")
    ]
    (first, *_) = transfer.sweeps([block], transfer.PAIRS[:1], seeds=5)
    options = argparse.Namespace(jobs=2, overrides=[], folder=Path("outputs/bench-transfer"))
    typed = [word for word in publish.command(first, options) if not word.startswith("hydra.launcher")]
    assert sorted(typed) in [sorted(words) for words in shown]


def test_every_sweep_of_office_has_all_pairs_of_one_seed():
    sweeps = office.sweeps(Path("/data"), seeds=2)
    for sweep in sweeps:
        values = [dict(each.split("=", 1) for each in job) for job in jobs(sweep)]
        pairs = {(each["source.root"], each["target.root"]) for each in values}
        assert len({pair for pair in pairs if pair[0] != pair[1]}) == 12
        assert len({each["seed"] for each in values}) == 1
    assert len(set(sweeps)) == len(sweeps)


def test_shot_has_the_number_of_its_authors_for_photographs_and_no_other_method_has_it():
    own = [job for sweep in office.sweeps(Path("/data"), office.DOMAINS[:2], seeds=1) for job in jobs(sweep)]
    assert {"strategy=shot" in job for job in own if "strategy.beta=0.3" in job} == {True}
    assert all("strategy.beta=0.3" in job for job in own if "strategy=shot" in job)
    assert not [job for job in own if "strategy=shot" in job and "freeze.depth=all" in job]  # nothing could train


@pytest.mark.parametrize("page", [transfer.PAGE, office.PAGE], ids=lambda page: page.name)
def test_a_page_has_the_place_of_its_tables(page):
    text = page.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
