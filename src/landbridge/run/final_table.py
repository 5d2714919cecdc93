"""Prints the final table of a run."""

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from landbridge.record import Record

#: Entries that every epoch's row has. All other entries are notes of the strategy.
ROW = frozenset({"epoch", "losses", "scores", "seconds"})


def print_record(record: Record, folder: Path) -> None:
    """Print the results of a run: metrics by domain, the chosen epoch, the cost and the folder of the files."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 120))
    stamp = " [bold red]ORACLE[/]" if record.selection["oracle"] else ""
    table = Table(title=f"test results, {_setting(record)}{stamp}", title_justify="left")
    leading = record.leading
    at_start = f"{leading}_at_start"
    kept = all(at_start in result for result in record.results.values())
    shown = _shown_metrics(record)
    columns = {**({at_start: "at start"} if kept else {}), **shown}
    for title in ("domain", "role", "n", *columns.values()):
        table.add_column(title, justify="left" if title in ("domain", "role") else "right")
    for role, result in sorted(record.results.items(), reverse=True):
        values = (f"{result[key]:.3f}" if key in result else "" for key in columns)
        table.add_row(escape(result["domain"]), role, str(result["n"]), *values)
        for name, own in result.get("by_task", {}).items():
            task = record.data[role]["task"]["tasks"][name]
            table.add_row(f"  {escape(name)}", "", str(own["n"]), f"{task['leading']} {own[task['leading']]:.3f}")
    console.print(table)
    selection, cost = record.selection, record.cost
    if record.epochs:
        chosen = f"{selection['epoch'] + 1} of {len(record.epochs)}, chosen by {selection['rule']}"
        notes = {key: value for key, value in record.epochs[selection["epoch"]].items() if key not in ROW}
        said = "".join(
            f", {key} {', '.join(value) if isinstance(value, list) else value}" for key, value in notes.items()
        )
        console.print(f"epoch      {chosen}{stamp}{escape(said)}")
    if kept and "source" in record.results:
        source, target = record.results["source"], record.results["target"]
        share = source[leading] / source[at_start] if source[at_start] else math.nan
        gain, name = target[leading] - target[at_start], shown[leading]
        console.print(f"retention  {share:.1%} of the source's {name} is kept; the target's changes by {gain:+.3f}")
    console.print(f"parameters {cost['trainable_parameters']:,} of {cost['parameters']:,} trained")
    console.print(f"seconds    {cost['seconds']:.1f}, of which training {cost['phases']['train']:.1f}")
    console.print(f"files      {escape(str(folder))}", soft_wrap=True)


def _setting(record: Record) -> str:
    config = record.config
    strategy = record.choices.get("strategy") or config["strategy"]["_target_"].rpartition(".")[2]
    transductive = ", transductive" if config["transductive"] else ""
    return f"{escape(strategy)}, target_labels={config['target_labels']}{transductive}, seed={config['seed']}, n=1"


def _shown_metrics(record: Record) -> dict[str, str]:
    """Return the metrics that the table shows, with their titles."""
    return record.data["target"]["task"].get("shown") or {"accuracy": "accuracy", "macro_f1": "macro F1"}
