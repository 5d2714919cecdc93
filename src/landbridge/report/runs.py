"""Runs of a report: a record with its pair of domains, its method, its seed and its other settings."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from landbridge.record import INCIDENTAL, Record, domain_path, own_steps, total_passes, total_steps
from landbridge.report.metrics import Metric, metric_of

#: Parts of the configuration that define a method. All other settings except the length of training must be equal for a
#: method and its reference.
METHOD = ("strategy", "start", "freeze", "tuning", "averaging", "terms", "transductive")
#: Parts that configure the domains. Domains are compared by the fingerprints of their content instead.
DOMAINS = ("source", "target")


class Pair(NamedTuple):
    """A source and a target. The source is None for training on the target alone."""

    source: str | None
    target: str

    def __str__(self) -> str:
        return f"{self.source} → {self.target}" if self.source else f"{self.target} alone"


class Method(NamedTuple):
    """A strategy with the settings that differ between its runs."""

    strategy: str
    variant: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.strategy, *(f"{key}={value}" for key, value in self.variant)])

    def without(self, key: str) -> "Method":
        """Return the method without the given setting."""
        return Method(self.strategy, tuple((name, value) for name, value in self.variant if name != key))


@dataclass
class Run:
    """One record and the folder it was read from.

    Attributes:
        folder: folder of the run.
        record: record of the run.
        chosen: name of the metric on the test split to compare runs by; None: the leading one of the target's task.
        pair: source and target, by names that are unique in the report.
        method: strategy and the settings that vary.
    """

    folder: Path
    record: Record
    chosen: str | None = None
    pair: Pair = field(init=False)
    method: Method = field(init=False)

    def __post_init__(self) -> None:
        self.pair = Pair(self._domain("source"), str(self._domain("target")))
        self.method = Method(self.strategy)

    @property
    def done(self) -> bool:
        """Whether the run has test results."""
        return self.record.status == "done" and "target" in self.record.results

    @property
    def continues(self) -> str:
        """The run that this one continues, in words; empty if there is none."""
        parent = self.record.parent
        return f"the run in {parent['folder']}, which had {parent['epochs']} epochs" if parent else ""

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.record.config["seed"]

    @cached_property
    def metric(self) -> Metric:
        """The metric to compare runs by."""
        return metric_of(self.chosen, self.task()) if self.chosen else self.leading

    @property
    def leading(self) -> Metric:
        """The leading metric of the target's task. The scores of epochs under the oracle are its values."""
        return metric_of(self.record.leading, self.task())

    @property
    def titles(self) -> dict[str, str]:
        """Titles of metrics, from the target's task."""
        return self.task().get("shown", {})

    def task(self, role: str = "target") -> dict[str, Any]:
        """Return the description of a domain's task. Records without one are those of classifications."""
        domain = self.record.data.get(role, {})
        return domain.get("task") or {
            "kind": "classification",
            "leading": "accuracy",
            "names": domain.get("classes", []),
        }

    @cached_property
    def values(self) -> dict[str, float]:
        """Every finite metric on the target's test split; `by_task.digit.mae` is one of a task called digit."""
        return _numbers("", self.record.results.get("target", {}))

    @property
    def score(self) -> float:
        """The metric on the target's test split."""
        return self.values[self.metric.key]

    @property
    def merit(self) -> float:
        """The score, turned so that higher is better."""
        return self.metric.sign * self.score

    @property
    def source_score(self) -> float | None:
        """The metric on the source's test split; None if the run has no source domain or the source another task."""
        return self.source_values.get(self.metric.key)

    @cached_property
    def source_values(self) -> dict[str, float]:
        """Every finite metric on the source's test split."""
        return _numbers("", self.record.results.get("source", {}))

    @cached_property
    def strategy(self) -> str:
        """The name of the strategy: as chosen in the command, else the class name in snake case."""
        typed = [each.partition("=")[2] for each in self.record.overrides if each.startswith("strategy=")]
        return self.record.choices.get("strategy") or (typed or [_snake(self.settings["strategy"])])[-1]

    @property
    def has_terms(self) -> bool:
        """Whether the run has auxiliary losses, from the YAML file of the strategy or from the user."""
        own = any(key.startswith("strategy.terms") for key in self.settings)
        return own or bool(self.record.config.get("terms"))

    @property
    def is_source_only(self) -> bool:
        """Whether the run trains on the labelled source only."""
        return self.settings["strategy"] == "SourceOnly" and not self.has_terms

    @property
    def is_target_only(self) -> bool:
        """Whether the run trains on the labelled target only, without pretrained weights: `A(none, T)`."""
        alone = self.pair.source is None and not self.has_terms
        return alone and self.settings["strategy"] == "TargetOnly"

    @property
    def as_reference(self) -> str:
        """The name of the run as a reference: `scratch` for another strategy that trains on the target only."""
        return "scratch" if self.is_target_only and self.strategy != "target_only" else self.strategy

    @cached_property
    def settings(self) -> dict[str, str]:
        """The configuration as `part.setting: value`, without incidental settings, the seed and the domains."""
        flat: dict[str, str] = {}
        for part, node in self.record.config.items():
            if part in INCIDENTAL[""] or part in DOMAINS or part == "seed":
                continue
            hidden = INCIDENTAL.get(part, ())
            values = {part: node} if not isinstance(node, dict) else _flat(part, node)
            for key, value in values.items():
                # A seed equal to the run's seed, such as `strategy.order_seed`, varies with it and is not a setting.
                if key.endswith("seed") and value == self.seed:
                    continue
                if key.removeprefix(f"{part}.").partition(".")[0] not in hidden:
                    flat[key.removesuffix("._target_")] = _plain(value, key.endswith("_target_"))
        return flat

    def domain_settings(self, role: str) -> dict[str, str]:
        """Return the configuration of a domain, without incidental settings such as the paths of its files.

        A seed equal to the run's seed, such as that of the split, varies with it and is not a setting.
        """
        node = self.record.config.get(role) or {}
        hidden = {*INCIDENTAL[role], "_target_"}
        own = {key: value for key, value in _flat("", node).items() if key not in hidden}
        return {k: _plain(v, False) for k, v in own.items() if not (k.endswith("seed") and v == self.seed)}

    def domain_fingerprint(self, role: str) -> str | None:
        """Return the fingerprint of a domain's content; None if the run stopped before it read the domain."""
        return self.record.data.get(role, {}).get("fingerprint")

    def domain_content(self, role: str) -> str | None:
        """Return the hash of all samples of a domain, the same for all splits of them.

        Records of older versions have none. There it is the fingerprint, which changes with the split.
        """
        domain = self.record.data.get(role, {})
        return domain.get("samples") or domain.get("fingerprint")

    def domain_path(self, role: str) -> str | None:
        """Return the path of a domain's data; None if it is not read from a path of its own."""
        return domain_path(self.record.config, role)

    @property
    def transductive(self) -> bool:
        """Whether the run adapted to the test inputs."""
        return self.settings.get("transductive") == "true"

    @property
    def stopped_early(self) -> int | None:
        """Number of epochs after which training stopped early; None if it did not."""
        return self.record.selection.get("stopped_early")

    @property
    def steps(self) -> int:
        """Number of steps of the run itself: those it took, or in older records those it planned."""
        return own_steps(self.record)

    @property
    def total_steps(self) -> int:
        """Number of steps in all, with those of the source model that the run started from."""
        return total_steps(self.record)

    @property
    def total_passes(self) -> int | None:
        """Number of samples that the network read in training, in all; None in older records."""
        return total_passes(self.record)

    @property
    def target_labels(self) -> float:
        """Number of target labels per class for training: 0, a number, or infinity for all."""
        budget = self.record.config.get("target_labels", 0)
        return float("inf") if budget == "all" else float(budget)

    def _domain(self, role: str) -> str | None:
        if role in self.record.data:
            return self.record.data[role]["name"]
        if role == "source" and self.record.data:
            # The run read no source domain, but it may have started from trained weights.
            start = self.settings["start"]
            return {"Pretrained": "pretrained weights", "Checkpoint": "a checkpoint"}.get(start)
        node = self.record.config.get(role)
        chosen = self.record.choices.get(role)
        return chosen or (str(node["_target_"]).rpartition(".")[2] if node else None)


def _flat(prefix: str, node: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}.{key}".lstrip(".")
        # An empty mapping is a setting too: `strategy.terms.bss: {}` is a term with default settings.
        flat |= _flat(name, value) if isinstance(value, dict) and value else {name: value}
    return flat


def _numbers(prefix: str, node: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite metrics in results, those inside by dotted names."""
    found: dict[str, float] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            found |= _numbers(f"{prefix}{key}.", value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and key != "n":
            found[f"{prefix}{key}"] = float(value)
    return found


def _plain(value: Any, is_target: bool) -> str:
    if is_target:
        return str(value).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _snake(name: str) -> str:
    return "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
