"""Compare strategies on pairs of domains over paired seeds, at equal steps; writes a table into docs/results.md.

Every run writes its record under `--folder`. Runs that are already finished there are not repeated, so an interrupted
comparison can be continued. All strategies use their default settings; nothing is tuned.

    python benchmarks/transfer.py --pairs uci_digits:mnist_5k --strategies source_only dann --seeds 6

USPS is read from `$LANDBRIDGE_DATA/usps` if LANDBRIDGE_DATA is set, and downloaded otherwise.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landbridge.statistics import Judgement

REFERENCE = "source_only"
#: A simple baseline. A method's own idea helps only if its accuracy is above this baseline.
BASELINE = "adabn"
#: Training on all labels of the target, which no adaptation method reads.
ORACLE = ("oracle", ["strategy=target_only", "target_labels=all"])
#: Adaptation methods, one line per family; all with their default settings.
ADAPTATION = [
    *("adabn", "dsbn", "bn_adapt", "tent"),
    *("dan", "jan", "coral", "deepjdot", "swd", "safn"),
    *("dann", "bsp", "cdan", "cdan_e", "mdd", "mcd", "adda"),
    *("mcc", "bnm", "entropy"),
    *("pseudo_label", "fixmatch", "adamatch", "mme"),
    *("shot", "shot_im", "gmm_prototypes"),
]
#: Every method takes the same number of optimizer steps: 300.
STEPS = ["trainer.max_epochs=10", "data.steps_per_epoch=30", "optimizer.fused=true"]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def run_one(job: tuple[Sequence[str], str]) -> str:
    """Run one job in this process, unless its folder already contains the result; return the folder."""
    overrides, folder = job
    import torch
    from hydra import compose, initialize_config_dir

    from landbridge.cli.config_sources import conf_folder, register_groups
    from landbridge.cli.overrides import as_additions
    from landbridge.run.run import run

    torch.set_num_threads(1)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions([*overrides, "logger=none"])), Path(folder), overrides)
    return folder


def judgements(accuracies: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, "Judgement"]]:
    """Judge every strategy's gain over source-only, by pair and strategy, with Holm's correction over the pairs."""
    from landbridge.statistics import judge_all

    def gains(rows: dict[str, list[float]], name: str) -> list[float]:
        return [value - other for value, other in zip(rows[name], rows[REFERENCE], strict=True)]

    names = [name for name in next(iter(accuracies.values())) if name not in (REFERENCE, ORACLE[0])]
    judged = {
        name: judge_all({pair: gains(rows, name) for pair, rows in accuracies.items()}, reference=REFERENCE)
        for name in names
    }
    return {pair: {name: judged[name][pair] for name in names} for pair in accuracies}


def table(
    pair: str, accuracies: dict[str, list[float]], judged: dict[str, "Judgement"], seconds: dict[str, list[float]]
) -> list[str]:
    """Return one pair's table: mean accuracy with its 95 % interval over seeds, and the gain over source-only."""
    from landbridge.statistics import t_interval

    source, target = pair.split(":")
    lines = [
        f"### {source} → {target}",
        "",
        "| strategy | accuracy, % | lowest | gain over source_only, points | verdict | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, values in accuracies.items():
        gain, verdict = "", ""
        if name in judged:
            gain = _with_interval(judged[name].gain, judged[name].interval, sign="+")
            verdict = judged[name].verdict
        label = "ORACLE: target_only on all target labels" if name == ORACLE[0] else name
        mean = _with_interval(statistics.mean(values), t_interval(values) if len(values) > 1 else None)
        cost = statistics.median(seconds[name])
        lines.append(f"| {label} | {mean} | {100 * min(values):.1f} | {gain} | {verdict} | {cost:.0f} |")
    return [*lines, "", *not_above_baseline(accuracies)]


def not_above_baseline(accuracies: dict[str, list[float]]) -> list[str]:
    """Return a line that lists the methods whose paired difference from AdaBN has an interval not above 0."""
    from landbridge.statistics import t_interval

    if BASELINE not in accuracies:
        return []
    others = [name for name in accuracies if name not in (REFERENCE, BASELINE, ORACLE[0])]
    differences = {
        name: [value - base for value, base in zip(accuracies[name], accuracies[BASELINE], strict=True)]
        for name in others
    }
    not_above = [name for name in others if len(differences[name]) < 2 or t_interval(differences[name]).low <= 0]
    listed = ", ".join(f"`{name}`" for name in not_above) or "none"
    return [
        f"Not shown to be better than `{BASELINE}` (the interval of the paired difference is not above 0): {listed}.",
        "",
    ]


def _with_interval(value: float, interval, sign: str = "") -> str:
    if interval is None:
        return f"{100 * value:{sign}.1f} (n=1)"
    return f"{100 * value:{sign}.1f} [{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def _roots(source: str, target: str) -> list[str]:
    data = os.environ.get("LANDBRIDGE_DATA")
    roles = {"source": source, "target": target}
    return [f"{role}.root={data}/usps" for role, domain in roles.items() if data and domain == "usps"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", nargs="+", default=["uci_digits:mnist_5k", "mnist_5k:uci_digits", "mnist_5k:usps"])
    parser.add_argument("--strategies", nargs="+", default=[REFERENCE, *ADAPTATION])
    # With 7 seeds, a sign-flip test can be significant for up to three pairs after Holm's correction; with 6, for one.
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=Path("outputs/bench-transfer"))
    parser.add_argument("--overrides", nargs="*", default=STEPS, help="further settings of every run")
    parser.add_argument("--no-run", action="store_true", help="start no runs; make the table of finished runs")
    parser.add_argument("--no-write", action="store_true", help="print the table, do not write docs/results.md")
    arguments = parser.parse_args()
    names = [REFERENCE, *(name for name in arguments.strategies if name != REFERENCE)]
    cells = {name: [f"strategy={name}"] for name in names} | dict([ORACLE])

    jobs = {}
    for seed in range(arguments.seeds):
        for pair in arguments.pairs:
            source, target = pair.split(":")
            for name, choice in cells.items():
                overrides = [f"source={source}", f"target={target}", *_roots(source, target), *choice, f"seed={seed}"]
                overrides += arguments.overrides
                jobs[pair, name, seed] = (overrides, str(arguments.folder / f"{source}-{target}" / name / str(seed)))

    from rich.progress import track

    if not arguments.no_run:
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            for _ in track(pool.map(run_one, jobs.values()), total=len(jobs), description="runs"):
                pass

    from landbridge.record import Record

    records = {key: Record.read(Path(folder)) for key, (_, folder) in jobs.items()}
    seeds = range(arguments.seeds)
    rows = {pair: {name: [records[pair, name, seed] for seed in seeds] for name in cells} for pair in arguments.pairs}
    accuracies = {
        pair: {name: [each.results["target"]["accuracy"] for each in row] for name, row in of.items()}
        for pair, of in rows.items()
    }
    judged = judgements(accuracies)
    lines = [f"{arguments.seeds} paired seeds.", ""]
    for pair, of in rows.items():
        seconds = {name: [each.cost["seconds"] for each in row] for name, row in of.items()}
        lines += table(pair, accuracies[pair], judged[pair], seconds)
    text = "\n".join(lines)
    print(text)
    if not arguments.no_write:
        page = PAGE.read_text()
        PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + f"\n\n{text}\n" + page[page.index(END) :])


if __name__ == "__main__":
    main()
