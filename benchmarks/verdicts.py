"""Simulate how often a verdict is false, and how often it finds a real gain; writes tables into docs/comparing.md.

Every comparison is simulated item by item and judged by `landbridge.statistics.judge_all`. A method and its reference
classify the items of a test set; an item is difficult for both or for one of them; a seed shifts the accuracy of the
method. In the tables on false verdicts both have the same expected accuracy, over new seeds and new items. The earlier
rule of landbridge is shown beside the present one: Student's t interval over seeds, and an exact sign-flip test.

    python benchmarks/verdicts.py --runs 600
"""

import argparse
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from landbridge.statistics import Gains, holm, judge_all

PAGE = Path(__file__).resolve().parents[1] / "docs" / "comparing.md"
BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"
SEEDS, SIZES = (5, 7, 10, 20), (100, 359, 1000, 5000)
#: Share of the pool in the test set of a seed that has a split of its own.
TEST_SHARE = 0.2
#: Spread of the difficulty of items for method and reference, in standard deviations of the noise of one run.
DIFFICULTY = 1.0
ENUMERABLE, PATTERNS = 12, 4000


class World(NamedTuple):
    """What the gains of one comparison are drawn from.

    Attributes:
        accuracy: expected accuracy of the reference, in (0, 1).
        by_item: spread of the part of an item's difficulty that only the method, or only the reference, has.
        seeds: distribution of the shift of accuracy by a seed: `normal`, or `skewed` (exponential, with rare low runs).
        spread: standard deviation of these shifts.
        gain: expected accuracy of the method minus that of the reference.
    """

    accuracy: float = 0.8
    by_item: float = 1.0
    seeds: str = "normal"
    spread: float = 0.0
    gain: float = 0.0


WORLDS = {
    "noise alone, accuracy .8": World(by_item=0),
    "item effects, accuracy .5": World(0.5),
    "item effects, seeds spread by 1 point": World(spread=0.01),
    "item effects, seeds spread by 4 points": World(spread=0.04),
    "item effects, seeds spread by 1 point, skewed, accuracy .95": World(0.95, 1, "skewed", 0.01),
    "item effects, seeds spread by 4 points, skewed": World(0.8, 1, "skewed", 0.04),
    "no item effects, seeds spread by 4 points, skewed, accuracy .95": World(0.95, 0, "skewed", 0.04),
    "item effects, seeds spread by 10 points, skewed, accuracy .6": World(0.6, 1, "skewed", 0.1),
}


class Test(NamedTuple):
    """How a comparison is tested: the number of seeds, of test items, and whether each seed has a split of its own."""

    seeds: int
    size: int
    own_splits: bool


def simulate(world: World, test: Test, methods: int, rng: np.random.Generator) -> list[Gains]:
    """Return the gains of methods over one reference that they share, each drawn from `world`."""
    pool = round(test.size / TEST_SHARE) if test.own_splits else test.size
    tested = [rng.permutation(pool)[: test.size] if test.own_splits else np.arange(pool) for _ in range(test.seeds)]
    difficulty = rng.normal(0, DIFFICULTY, pool)
    shifts = np.zeros(test.seeds)
    if world.seeds == "normal":  # half of the variance is that of the reference
        shifts = rng.normal(0, world.spread / np.sqrt(2), test.seeds)
    reference = _right(world, world.accuracy + shifts, difficulty, tested, rng)
    found = []
    for _ in range(methods):
        if world.seeds == "normal":
            shifts = rng.normal(0, world.spread / np.sqrt(2), test.seeds)
        else:
            shifts = world.spread * (1 - rng.exponential(size=test.seeds))
        rows = _right(world, world.accuracy + world.gain + shifts, difficulty, tested, rng)
        gains = [one - two for one, two in zip(rows, reference, strict=True)]
        found.append(Gains.of_items(gains, tested if test.own_splits else None))
    return found


def _right(
    world: World,
    accuracies: NDArray[np.float64],
    difficulty: NDArray[np.float64],
    tested: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> list[NDArray[np.float64]]:
    """Return which items each seed classifies correctly, with the given expected accuracy of each seed."""
    ease = difficulty + rng.normal(0, world.by_item, len(difficulty)) if world.by_item else difficulty
    # The expected accuracy over items is the normal distribution function of the threshold over the total deviation.
    total = np.sqrt(1 + DIFFICULTY**2 + world.by_item**2)
    thresholds = total * special.ndtri(np.clip(accuracies, 0.002, 0.998))
    return [
        (threshold + ease[own] + rng.standard_normal(len(own)) > 0).astype(float)
        for threshold, own in zip(thresholds, tested, strict=True)
    ]


def decided(gains: dict[tuple[int, int], Gains]) -> dict[tuple[int, int], bool]:
    """Return which comparisons are decided by the present rule. Their keys are numbers of the pair and the method."""
    judged = judge_all(gains, references="reference")
    return {key: each.verdict != "undecided" for key, each in judged.items()}


def decided_before(gains: dict[tuple[int, int], Gains]) -> dict[tuple[int, int], bool]:
    """Return which comparisons the earlier rule decides, corrected over the pairs of each method."""
    found = {}
    for method in {method for _, method in gains}:
        own = {key: gain.by_seed for key, gain in gains.items() if key[1] == method}
        adjusted = holm([_sign_flip(each) for each in own.values()])
        for (key, each), p in zip(own.items(), adjusted, strict=True):
            half = stats.t.ppf(0.975, each.size - 1) * stats.sem(each)
            found[key] = bool(p <= 0.05 and abs(each.mean()) > half)
    return found


@cache
def _signs(seeds: int) -> NDArray[np.float64]:
    if seeds <= ENUMERABLE:
        return np.array(list(product([1.0, -1.0], repeat=seeds)))
    return np.random.default_rng(0).choice([1.0, -1.0], size=(PATTERNS, seeds))


def _sign_flip(values: NDArray[np.float64]) -> float:
    sums = np.abs(_signs(values.size) @ values)
    return float(np.mean(sums >= abs(values.sum()) - 1e-9 * np.abs(values).sum()))


def rates(world: World, test: Test, runs: int, seed: int = 0) -> tuple[float, float]:
    """Return how often one comparison is decided, by the present and by the earlier rule.

    For a world with a gain, only the verdict `helps` counts.
    """
    rng = np.random.default_rng([seed, test.seeds, test.size])
    counts = np.zeros(2)
    for _ in range(runs):
        gains = {(0, 0): simulate(world, test, 1, rng)[0]}
        right = world.gain == 0 or gains[0, 0].by_seed.mean() > 0
        counts += [right and rule(gains)[0, 0] for rule in (decided, decided_before)]
    now, before = counts / runs
    return float(now), float(before)


def any_false(world: World, test: Test, runs: int, methods: int = 10, pairs: int = 3) -> tuple[float, float]:
    """Return how often a table of methods and pairs without any effect has a false verdict, by both rules."""
    rng = np.random.default_rng([1, test.seeds, test.size])
    counts = np.zeros(2)
    for _ in range(runs):
        table = {(p, m): own for p in range(pairs) for m, own in enumerate(simulate(world, test, methods, rng))}
        counts += [any(rule(table).values()) for rule in (decided, decided_before)]
    now, before = counts / runs
    return float(now), float(before)


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _both(found: Iterable[tuple[float, float]]) -> str:
    now, before = np.mean(list(found), axis=0)
    return f"{_number(now)} ({_number(before)})"


def _run(job: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    return job()


def tables(runs: int, jobs: int) -> list[str]:
    """Return the lines of all tables."""
    splits = {"one test set": False, "own splits": True}
    numbers = {size: max(20, runs // (4 if size > 1000 else 1)) for size in SIZES}
    false = {
        (name, split, seeds, size): partial(rates, world, Test(seeds, size, own), numbers[size])
        for (name, world), (split, own), seeds, size in product(WORLDS.items(), splits.items(), SEEDS, SIZES)
    }
    power = {
        (gain, split, size, seeds): partial(
            rates, World(spread=0.02, gain=gain / 100), Test(seeds, size, own), runs // 2
        )
        for gain, (split, own), size, seeds in product((2, 5), splits.items(), (359, 1000), SEEDS)
    }
    family = {
        (name, seeds): partial(any_false, WORLDS[name], Test(seeds, 359, True), runs // 2)
        for name, seeds in product(list(WORLDS)[3:7:2], SEEDS[:3])
    }
    every = {**false, **power, **family}
    with ProcessPoolExecutor(jobs) as pool:
        found = dict(zip(every, pool.map(_run, every.values()), strict=True))
    largest = max((found[key][0], key) for key in false)
    head = [f"{n} seeds" for n in SEEDS]
    lines = [
        "**False verdicts** of a single comparison at a nominal rate of .050: the present rule, and the earlier one in "
        f"brackets. Each number is a mean over test sets of {', '.join(map(str, SIZES))} items, "
        f"{sum(numbers.values())} simulations in all. The largest rate of a single size is {_number(largest[0])} "
        f"({largest[1][0]}; {largest[1][1]}, {largest[1][2]} seeds, {largest[1][3]} items, {numbers[largest[1][3]]} "
        "simulations).",
        "",
        *_table(
            ["", "", *head],
            [
                [name, split, *(_both(found[name, split, n, size] for size in SIZES) for n in SEEDS)]
                for name, split in product(WORLDS, splits)
            ],
        ),
        "**Power**: how often a real gain is found, alone. Item effects; seeds spread by 2 points; accuracy .8.",
        "",
        *_table(
            ["gain", "", "test items", *head],
            [
                [f"{gain} points", split, str(size), *(_both([found[gain, split, size, n]]) for n in SEEDS)]
                for gain, split, size in product((2, 5), splits, (359, 1000))
            ],
        ),
        "**Any false verdict** in a table of 10 methods and 3 pairs, where the methods share their reference. Own "
        "splits, 359 test items. The earlier rule was corrected over the pairs of each method only.",
        "",
        *_table(
            ["", *head[:3]],
            [[name, *(_both([found[name, n]]) for n in SEEDS[:3])] for name in dict.fromkeys(key[0] for key in family)],
        ),
    ]
    return lines[:-1]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = "| " + " | ".join("---" for _ in head) + " |"
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=600, help="simulations of each number; a quarter with 5,000 items")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--page", type=Path, default=PAGE, help="page that contains the tables, between their marks")
    arguments = parser.parse_args()
    text = "\n".join(tables(arguments.runs, arguments.jobs))
    print(text)
    page = arguments.page.read_text()
    arguments.page.write_text(page[: page.index(BEGIN) + len(BEGIN)] + f"\n\n{text}\n\n" + page[page.index(END) :])


if __name__ == "__main__":
    main()
