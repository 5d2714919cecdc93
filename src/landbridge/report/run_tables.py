"""The tables of single runs: runs with results, and runs that failed or have not ended."""

from collections.abc import Callable, Sequence

from landbridge.report.numbers import percent, seconds
from landbridge.report.runs import Run
from landbridge.report.table import Column, Table, Value


def run_table(runs: Sequence[Run]) -> Table:
    """Return one row for each run with results, so that readers can check the values behind each mean."""

    def result(run: Run, role: str, name: str) -> Value:
        return run.record.results.get(role, {}).get(name)

    def shown(role: str, name: str) -> Callable[[Run], str]:
        return lambda run: "" if (value := result(run, role, name)) is None else percent(float(value))

    return Table(
        "runs",
        [
            Column("source", "source", lambda r: r.pair.source, lambda r: r.pair.source or "—", number=False),
            Column("target", "target", lambda r: r.pair.target, number=False),
            Column("method", "strategy", lambda r: str(r.method), number=False),
            Column("seed", "seed", lambda r: r.seed),
            Column("target_labels", "target labels", lambda r: str(r.record.config.get("target_labels", 0))),
            Column(
                "selection",
                "selection",
                _rule,
                style=lambda r: "oracle" if r.record.selection.get("oracle") else "",
                number=False,
            ),
            Column("epoch", "epoch", lambda r: r.record.selection.get("epoch")),
            Column("accuracy", "accuracy", lambda r: result(r, "target", "accuracy"), shown("target", "accuracy")),
            Column("macro_f1", "macro F1", lambda r: result(r, "target", "macro_f1"), shown("target", "macro_f1")),
            Column("ece", "calibration error", lambda r: result(r, "target", "ece"), shown("target", "ece")),
            Column("nll", "", lambda r: result(r, "target", "nll")),
            Column(
                "source_accuracy", "on source", lambda r: result(r, "source", "accuracy"), shown("source", "accuracy")
            ),
            Column(
                "seconds",
                "seconds",
                lambda r: r.record.cost.get("seconds"),
                lambda r: seconds(r.record.cost.get("seconds")),
            ),
            Column("trainable_parameters", "", lambda r: r.record.cost.get("trainable_parameters")),
            Column("peak_memory_bytes", "", lambda r: r.record.cost.get("peak_memory_bytes")),
            Column("git", "", lambda r: r.record.environment.get("git")),
            Column("fingerprint", "", lambda r: r.record.fingerprint),
            Column("folder", "folder", lambda r: str(r.folder), lambda r: "/".join(r.folder.parts[-3:]), number=False),
        ],
        runs,
    )


def _rule(run: Run) -> str:
    name = run.record.selection.get("rule", "")
    return "ORACLE" if run.record.selection.get("oracle") else name


def unfinished_table(runs: Sequence[Run]) -> Table:
    """Return one row for each run without results, with the reason."""
    return Table(
        "unfinished",
        [
            Column("status", "status", lambda r: r.record.status, number=False),
            Column("pair", "pair", lambda r: str(r.pair), number=False),
            Column("method", "strategy", lambda r: str(r.method), number=False),
            Column("seed", "seed", lambda r: r.seed),
            Column("reason", "reason", lambda r: (r.record.reason or "").partition("\n")[0], number=False),
            Column("folder", "folder", lambda r: str(r.folder), lambda r: "/".join(r.folder.parts[-3:]), number=False),
        ],
        runs,
    )
