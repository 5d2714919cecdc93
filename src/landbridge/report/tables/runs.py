"""The tables of single runs: runs with results, and runs that failed or have not ended."""

from collections.abc import Sequence

from landbridge.report.metrics import Metric, metric_of
from landbridge.report.numbers import seconds
from landbridge.report.runs import Run
from landbridge.report.tables.table import Column, Table


def run_table(runs: Sequence[Run]) -> Table:
    """Return one row for each run with results, so that readers can check the values behind each mean."""
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
            *_metric_columns(runs),
            Column(
                "seconds",
                "seconds",
                lambda r: r.record.cost.get("seconds"),
                lambda r: seconds(r.record.cost.get("seconds")),
            ),
            Column("steps", "", lambda r: r.total_steps if r.done else None),
            Column("passes", "", lambda r: r.total_passes),
            Column("trainable_parameters", "", lambda r: r.record.cost.get("trainable_parameters")),
            Column("peak_memory_bytes", "", lambda r: r.record.cost.get("peak_memory_bytes")),
            Column("git", "", lambda r: r.record.environment.get("git")),
            Column("fingerprint", "", lambda r: r.record.fingerprint),
            Column("folder", "folder", lambda r: str(r.folder), lambda r: "/".join(r.folder.parts[-3:]), number=False),
        ],
        runs,
    )


#: Metrics that are shown of a task whose description names none, as in records of schema 1.
SHOWN = {"classification": ("accuracy", "macro_f1", "ece")}


def _metric_columns(runs: Sequence[Run]) -> list[Column]:
    """Return a column for each metric of the runs. Only the CSV has those that no task shows."""
    shown: dict[str, Metric] = {}
    other: dict[str, Metric] = {}
    for run in runs:
        names = [run.leading.key, *(run.titles or SHOWN.get(run.task()["kind"], ())), run.metric.key]
        shown |= {key: metric_of(key, run.task()) for key in names if key in run.values}
        # Numbers inside, such as those of classes and subgroups, have tables of their own.
        other |= {key: metric_of(key, run.task()) for key in run.values if "." not in key}
    leading = list(dict.fromkeys(run.leading for run in runs))
    return [
        *(_metric_column(metric, metric.title) for metric in shown.values()),
        *(_metric_column(metric, "") for key, metric in other.items() if key not in shown),
        *(_source_column(each, "on source" if len(leading) == 1 else f"{each.title} on source") for each in leading),
    ]


def _metric_column(metric: Metric, title: str) -> Column:
    def text(run: Run) -> str:
        return "" if (value := run.values.get(metric.key)) is None else metric.text(value)

    return Column(metric.key, title, lambda r: r.values.get(metric.key), text, lower=metric.lower)


def _source_column(metric: Metric, title: str) -> Column:
    def value(run: Run) -> float | None:
        return run.source_values.get(metric.key)

    def text(run: Run) -> str:
        return "" if (own := value(run)) is None else metric.text(own)

    return Column(f"source_{metric.key}", title, value, text, lower=metric.lower)


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
