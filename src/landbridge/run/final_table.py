"""Prints the final table of a run."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from landbridge.record import Record, domain_path, told_apart

#: Entries that every epoch's row has. All other entries are notes of the strategy.
ROW = frozenset({"epoch", "losses", "scores", "halves", "seconds"})


def print_record(record: Record, folder: Path) -> None:
    """Print the results of a run: metrics by domain, the chosen epoch, the cost and the folder of the files."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 120))
    stamp = " [bold red]ORACLE[/]" if record.selection["oracle"] else ""
    table = Table(title=f"test results, {_setting(record)}{stamp}", title_justify="left")
    leading = record.leading
    at_start = f"{leading}_at_start"
    kept = any(at_start in result for result in record.results.values())
    shown = _shown_metrics(record)
    columns = {**({at_start: "at start"} if kept else {}), **shown}
    for title in ("domain", "role", "n", *columns.values()):
        table.add_column(title, justify="left" if title in ("domain", "role") else "right")
    names = _domain_names(record)
    for role, result in sorted(record.results.items(), reverse=True):
        values = [f"{result[key]:.3f}" if key in result else "" for key in columns]
        own = record.leading_of(role)
        if own not in columns:
            values = [f"{own} {result[own]:.3f}"]
        table.add_row(escape(names[role]), role, str(result["n"]), *values)
        for name, own in result.get("by_task", {}).items():
            task = record.data[role]["task"]["tasks"][name]
            table.add_row(f"  {escape(name)}", "", str(own["n"]), f"{task['leading']} {own[task['leading']]:.3f}")
    console.print(table)
    selection, cost = record.selection, record.cost
    if record.parent:
        console.print(f"continues  {escape(record.parent['folder'])}, which had {record.parent['epochs']} epochs")
    if record.epochs:
        chosen = f"{selection['epoch'] + 1} of {len(record.epochs)}, chosen by {selection['rule']}"
        notes = {key: value for key, value in record.epochs[selection["epoch"]].items() if key not in ROW}
        said = "".join(
            f", {key} {', '.join(value) if isinstance(value, list) else value}" for key, value in notes.items()
        )
        console.print(f"epoch      {chosen}{stamp}{escape(said)}")
    if leading == "r2" and record.results["target"]["r2"] < 0:
        console.print("caution    R2 below 0: the mean of the test values would be a better prediction of each of them")
    if retained := _retention(record, shown):
        console.print(f"retention  {retained}")
    console.print(f"start      {escape(_start(record))}", soft_wrap=True)
    console.print(f"parameters {cost['trainable_parameters']:,} of {cost['parameters']:,} trained")
    console.print(f"seconds    {cost['seconds']:.1f}, of which training {cost['phases']['train']:.1f}")
    console.print(f"files      {escape(str(folder))}", soft_wrap=True)


def _retention(record: Record, shown: Mapping[str, str]) -> str:
    """Say what the source keeps and what the target gains; empty if the initial model had no head for the source."""
    name = record.leading_of("source") if "source" in record.results else ""
    source, target = record.results.get("source", {}), record.results["target"]
    if f"{name}_at_start" not in source:
        return ""
    before = source[f"{name}_at_start"]
    said = f"{source[name] / before if before else math.nan:.1%} of the source's {shown.get(name, name)} is kept"
    if (at_start := f"{record.leading}_at_start") in target:
        said += f"; the target's changes by {target[record.leading] - target[at_start]:+.3f}"
    return said


def _setting(record: Record) -> str:
    config = record.config
    strategy = record.choices.get("strategy") or config["strategy"]["_target_"].rpartition(".")[2]
    transductive = ", transductive" if config["transductive"] else ""
    return f"{escape(strategy)}, target_labels={config['target_labels']}{transductive}, seed={config['seed']}, n=1"


def _domain_names(record: Record) -> dict[str, str]:
    """Return the names of the domains by role; two folders or files of one name have the names of their paths."""
    names = {role: result["domain"] for role, result in record.results.items()}
    paths = {role: domain_path(record.config, role) for role in names}
    known = [path for path in paths.values() if path]
    if len(set(names.values())) == len(names) or len(set(known)) < len(names):
        return names
    labels = told_apart(known)
    return {role: labels[path] for role, path in paths.items() if path}


def _start(record: Record) -> str:
    """Return what the run started from."""
    if not record.start:
        return "random weights"
    before = record.start.get("before")
    return f"a source model, trained from {before}" if before else record.start["origin"]


def _shown_metrics(record: Record) -> dict[str, str]:
    """Return the metrics that the table shows, with their titles."""
    return record.data["target"]["task"].get("shown") or {"accuracy": "accuracy", "macro_f1": "macro F1"}
