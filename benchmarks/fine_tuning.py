"""Compare fine-tuning methods with few target labels, at equal tuning budgets; writes a table into docs/results.md.

For each seed, one source model is trained with all labels of the source. Every method that starts from a source model
starts from this one. All methods except the oracle read the same target labels. All methods take the same number of
training steps and are tuned by the same number of trials: four learning rates, or, for surgical fine-tuning, four
stages at the default rate. There are two exceptions. Methods without training steps have one trial. `linear_probes`
also has one trial, because one run trains a head at each of the four rates. The verdict on these methods shows
"(fewer trials)". The epoch of each trial is chosen on the visible labels of the target's validation split, and so is
the trial that is tested. Test results are never used for a choice. Runs that are already finished in `--folder` are
not repeated.

    python benchmarks/fine_tuning.py --seeds 8
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from runs import run_one

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
PAIR = ("mnist_5k", "uci_digits")
RATES = ["0.0003", "0.001", "0.003", "0.01"]
BY_RATE = [[f"optimizer.lr={rate}"] for rate in RATES]
BY_STAGE = [[f"freeze.stages={stage}"] for stage in (1, 2, 3, 4)]
#: One trial, for methods without training steps and methods that tune themselves on the visible validation labels.
ONCE: list[list[str]] = [[]]
STEPS = ["trainer.max_epochs=10", "data.steps_per_epoch=30", "optimizer.fused=true"]
ULMFIT = [
    "freeze=gradual",
    "scheduler=slanted_triangular",
    "strategy.backbone_lr_scale=1",
    "strategy.layer_decay=0.385",
]
REFERENCES = ("scratch", "fine_tune")
#: Training on all labels of the target. No method with few labels is expected to reach this accuracy.
ORACLE = "ORACLE: scratch on all target labels"
#: For each method: its overrides, its trials, and whether it starts from the source model.
METHODS = {
    ORACLE: (["strategy=target_only"], BY_RATE, False),
    "scratch": (["strategy=target_only"], BY_RATE, False),
    "fine_tune": (["strategy=fine_tune"], BY_RATE, True),
    "linear_probe": (["strategy=linear_probe"], BY_RATE, True),
    # Factors of the default learning rate; they give the same four rates.
    "linear_probes": (["strategy=linear_probes", "strategy.factors=[0.3,3,10]"], ONCE, True),
    "linear_then_full": (["strategy=fine_tune", "freeze=linear_then_full"], BY_RATE, True),
    "gradual (ULMFiT)": (["strategy=fine_tune", *ULMFIT], BY_RATE, True),
    "surgical": (["strategy=fine_tune", "freeze=surgical"], BY_STAGE, True),
    "l2_sp": (["strategy=l2_sp"], BY_RATE, True),
    "delta": (["strategy=delta"], BY_RATE, True),
    "bss": (["strategy=bss"], BY_RATE, True),
    "co_tuning": (["strategy=co_tuning"], BY_RATE, True),
    "stoch_norm": (["strategy=stoch_norm"], BY_RATE, True),
    "bi_tuning": (["strategy=bi_tuning"], BY_RATE, True),
    "lwf": (["strategy=lwf"], BY_RATE, True),
    "lora": (["strategy=fine_tune", "tuning=lora"], BY_RATE, True),
    "adapters": (["strategy=fine_tune", "tuning=adapters"], BY_RATE, True),
    "bitfit": (["strategy=fine_tune", "tuning=bitfit"], BY_RATE, True),
    "ema": (["strategy=fine_tune", "averaging=ema"], BY_RATE, True),
    "swa": (["strategy=fine_tune", "averaging=swa"], BY_RATE, True),
    "wise_ft": (["strategy=wise_ft"], BY_RATE, True),
    "logistic": (["strategy=logistic"], ONCE, True),
    "knn": (["strategy=knn"], ONCE, True),
    "nearest_mean": (["strategy=nearest_mean"], ONCE, True),
    "as_is": (["strategy=as_is"], ONCE, True),
}
BEGIN, END = "<!-- fine-tuning: begin -->", "<!-- fine-tuning: end -->"


def run_all(jobs: Sequence[tuple[Sequence[str], str]], processes: int, what: str) -> None:
    """Run jobs in parallel, in processes with their own interpreters."""
    from rich.progress import track

    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for _ in track(pool.map(run_one, jobs), total=len(jobs), description=what):
            pass


def rows(chosen: dict[str, list], trials: dict[str, int]) -> list[str]:
    """Return the table: test accuracy with its 95 % interval, and the gains over both references."""
    from landbridge.statistics import t_interval

    accuracy = {name: [record.results["target"]["accuracy"] for record in each] for name, each in chosen.items()}
    judged = judgements(chosen)
    lines = [
        "| method | accuracy, % | lowest | gain over scratch, points | verdict | gain over fine_tune, points | verdict "
        "| seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, values in accuracy.items():
        cells = [name, _with_interval(statistics.mean(values), t_interval(values) if len(values) > 1 else None)]
        cells.append(f"{100 * min(values):.1f}")
        for reference in REFERENCES:
            if (name, reference) not in judged:
                cells += ["", ""]
                continue
            found, fewer = judged[name, reference], trials[name] != trials[reference]
            verdict = f"{found.verdict} (fewer trials)" if fewer else found.verdict
            cells += [_with_interval(found.gain, found.interval, sign="+"), verdict]
        cells.append(f"{statistics.median(record.cost['seconds'] for record in chosen[name]):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _with_interval(value: float, interval, sign: str = "") -> str:
    if interval is None:
        return f"{100 * value:{sign}.1f} (n=1)"
    return f"{100 * value:{sign}.1f} [{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def judgements(chosen: dict[str, list]) -> dict:
    """Judge every method against every reference as a report does, corrected over all of these comparisons."""
    from landbridge.report.gains import gains_of
    from landbridge.report.runs import Run
    from landbridge.statistics import judge_all

    runs = {name: [Run(Path(), record) for record in each] for name, each in chosen.items()}
    gains = {
        (name, reference): gains_of(list(zip(runs[name], runs[reference], strict=True)))
        for name in runs
        for reference in REFERENCES
        if name not in (reference, "scratch", ORACLE)
    }
    return judge_all(gains, references={key: key[1] for key in gains})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--labels", type=int, default=5, help="number of visible target labels per class")
    # Verdicts need 5 seeds, and a correction over 46 comparisons more.
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=Path("outputs/bench-fine-tuning"))
    parser.add_argument("--overrides", nargs="*", default=STEPS, help="further settings of every run")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that contains the table, between its marks")
    arguments = parser.parse_args()
    source, target = PAIR
    names = [*REFERENCES, *(name for name in arguments.methods if name not in (*REFERENCES, ORACLE)), ORACLE]
    seeds = range(arguments.seeds)
    folder = arguments.folder.resolve()

    models = {seed: folder / "source_model" / str(seed) for seed in seeds}
    supervised = [f"target={source}", "strategy=target_only", "target_labels=all", *arguments.overrides]
    run_all([([*supervised, f"seed={seed}"], str(models[seed])) for seed in seeds], arguments.jobs, "source models")

    jobs = {}
    for seed in seeds:
        for name in names:
            choice, trials, transfers = METHODS[name]
            start = ["start=checkpoint", f"start.path={models[seed] / 'last.ckpt'}"] if transfers else []
            labels = "all" if name == ORACLE else arguments.labels
            setting = [f"target={target}", f"target_labels={labels}", "selection=target_val", f"seed={seed}"]
            for number, trial in enumerate(trials):
                overrides = [*setting, *choice, *start, *arguments.overrides, *trial]
                jobs[name, seed, number] = (overrides, str(folder / name.split()[0].strip(":") / f"{seed}-{number}"))
    run_all(list(jobs.values()), arguments.jobs, "trials")

    from landbridge.record import Record
    from landbridge.sweeps.trials import choose

    records = {key: Record.read(Path(place)) for key, (_, place) in jobs.items()}
    trials = {name: len(METHODS[name][1]) for name in names}
    chosen = {}
    for name in names:
        runs = [[records[name, seed, number] for number in range(trials[name])] for seed in seeds]
        chosen[name] = [choose(each) if len(each) > 1 else each[0] for each in runs]
    heading = (
        f"{source} → {target}, {arguments.labels} target labels per class; {arguments.seeds} paired seeds; "
        f"{trials[names[0]]} trials per method unless the verdict shows fewer, {' '.join(arguments.overrides)}."
    )
    text = "\n".join([heading, "", *rows(chosen, trials)])
    print(text)
    page = arguments.page.read_text()
    arguments.page.write_text(page[: page.index(BEGIN) + len(BEGIN)] + f"\n\n{text}\n\n" + page[page.index(END) :])


if __name__ == "__main__":
    main()
