"""The table of selection rules."""

from collections.abc import Callable, Sequence

from landbridge.report.numbers import interval_text
from landbridge.report.rules import RuleRow
from landbridge.report.tables.table import Column, Table


def rule_table(rows: Sequence[RuleRow], name: str = "rules") -> Table:
    """Return one row for each selection rule and pair: regret and correlation with the oracle."""
    unit = rows[0].metric.gain_label if rows else "points"

    def optional(value: float | None, write: Callable[[float], str]) -> str:
        return "" if value is None else write(value)

    return Table(
        name,
        [
            Column("rule", "rule", lambda r: r.rule, number=False),
            Column("pair", "pair", lambda r: str(r.pair), number=False),
            Column("runs", "runs", lambda r: r.runs),
            Column(
                "regret",
                f"regret within a run, {unit} [95 %]",
                lambda r: r.regret,
                lambda r: optional(
                    r.regret, lambda x: f"{r.metric.text(x)} {interval_text(r.interval, r.metric.text, len(r.regrets))}"
                ),
            ),
            Column(
                "spearman",
                "Spearman within a run",
                lambda r: r.correlation,
                lambda r: optional(r.correlation, "{:+.2f}".format),
            ),
            Column(
                "pool_regret",
                "regret over all checkpoints",
                lambda r: r.pool_regret,
                lambda r: optional(r.pool_regret, r.metric.text),
            ),
            Column(
                "pool_spearman",
                "Spearman over all",
                lambda r: r.pool_correlation,
                lambda r: optional(r.pool_correlation, "{:+.2f}".format),
            ),
            Column("pool_pick", "picked over all (seeds)", lambda r: r.pool_pick, number=False),
        ],
        rows,
    )
