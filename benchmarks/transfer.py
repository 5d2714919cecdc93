"""Strategies compared on pairs of domains over paired seeds, at equal steps: the command behind docs/results.md.

Every run leaves its record under `--folder`, and runs that are finished there are not repeated, so that an interrupted
comparison goes on where it stopped. Defaults of all strategies are used as they are; nothing is tuned.

    python benchmarks/transfer.py --pairs uci_digits:mnist_5k --strategies source_only dann --seeds 6

USPS is read from `$LANDBRIDGE_DATA/usps` where that is set, and downloaded otherwise.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

REFERENCE = "source_only"
#: The target's own labels: what no adaptation method sees.
ORACLE = ("oracle", ["strategy=target_only", "target_labels=all"])
#: Methods that adapt, in families; all with their default settings.
ADAPTATION = [
    *("adabn", "dsbn", "bn_adapt", "tent"),
    *("dan", "jan", "coral", "deepjdot", "swd", "safn"),
    *("dann", "bsp", "cdan", "cdan_e", "mdd", "mcd", "adda"),
    *("mcc", "bnm", "entropy"),
    *("pseudo_label", "fixmatch", "adamatch", "mme"),
    *("shot", "shot_im", "gmm_prototypes"),
]
#: The same number of optimizer steps for every method: 400.
STEPS = ["trainer.max_epochs=10", "data.steps_per_epoch=40", "optimizer.fused=true"]
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def run_one(job: tuple[Sequence[str], str]) -> str:
    """Run one job in this process unless its folder holds its result already; return the folder."""
    overrides, folder = job
    import torch
    from hydra import compose, initialize_config_dir

    from landbridge.groups import as_additions, conf_folder, register_groups
    from landbridge.run import run

    torch.set_num_threads(1)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions([*overrides, "logger=none"])), Path(folder), overrides)
    return folder


def table(pair: str, accuracies: dict[str, list[float]], seconds: dict[str, list[float]]) -> list[str]:
    """Lay out one pair's rows: mean accuracy with its 95 % interval over seeds, and the gain over source-only."""
    from landbridge.statistics import judge_all, t_interval

    reference = accuracies[REFERENCE]
    gains = {
        name: [value - other for value, other in zip(values, reference, strict=True)]
        for name, values in accuracies.items()
        if name not in (REFERENCE, ORACLE[0])
    }
    judged = judge_all(gains, reference=REFERENCE) if gains else {}
    source, target = pair.split(":")
    lines = [
        f"### {source} → {target}",
        "",
        "| strategy | accuracy, % | gain over source_only, points | verdict | seconds a run |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, values in accuracies.items():
        gain, verdict = "", ""
        if name in judged:
            judgement = judged[name]
            gain = _with_interval(judgement.gain, judgement.interval, sign="+")
            verdict = judgement.verdict
        label = "target_only on all target labels (ORACLE)" if name == ORACLE[0] else name
        mean = _with_interval(statistics.mean(values), t_interval(values) if len(values) > 1 else None)
        lines.append(f"| {label} | {mean} | {gain} | {verdict} | {statistics.median(seconds[name]):.0f} |")
    return [*lines, ""]


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
    parser.add_argument("--pairs", nargs="+", default=["uci_digits:mnist_5k", "mnist_5k:uci_digits"])
    parser.add_argument("--strategies", nargs="+", default=[REFERENCE, *ADAPTATION])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=Path("outputs/bench-transfer"))
    parser.add_argument("--overrides", nargs="*", default=STEPS, help="further settings of every run")
    parser.add_argument("--no-write", action="store_true", help="print the table and leave docs/results.md as it is")
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

    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for _ in track(pool.map(run_one, jobs.values()), total=len(jobs), description="runs"):
            pass

    from landbridge.record import Record

    records = {key: Record.read(Path(folder)) for key, (_, folder) in jobs.items()}
    lines = []
    for pair in arguments.pairs:
        of = {name: [records[pair, name, seed] for seed in range(arguments.seeds)] for name in cells}
        accuracies = {name: [record.results["target"]["accuracy"] for record in row] for name, row in of.items()}
        lines += table(pair, accuracies, {name: [record.cost["seconds"] for record in row] for name, row in of.items()})
    text = "\n".join(lines)
    print(text)
    if not arguments.no_write:
        page = RESULTS.read_text()
        RESULTS.write_text(page[: page.index(BEGIN) + len(BEGIN)] + f"\n\n{text}\n" + page[page.index(END) :])


if __name__ == "__main__":
    main()
