"""Runs of a report: a record with its pair of domains, its method, its seed and its other settings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from landbridge.record import INCIDENTAL, Record

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
        metric: the metric on the test split to compare runs by, `accuracy` or `macro_f1`.
        pair: source and target, by names that are unique in the report.
        method: strategy and the settings that vary.
    """

    folder: Path
    record: Record
    metric: str = "accuracy"
    pair: Pair = field(init=False)
    method: Method = field(init=False)

    def __post_init__(self) -> None:
        self.pair = Pair(self._domain("source"), str(self._domain("target")))
        self.method = Method(self.strategy)

    @property
    def done(self) -> bool:
        """Whether the run has test results."""
        return self.record.status == "done" and self.metric in self.record.results.get("target", {})

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.record.config["seed"]

    @property
    def score(self) -> float:
        """The metric on the target's test split, a share of 1."""
        return self.record.results["target"][self.metric]

    @property
    def source_score(self) -> float | None:
        """The metric on the source's test split; None if the run has no source domain."""
        return self.record.results.get("source", {}).get(self.metric)

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
        """Return the configuration of a domain, without incidental settings such as the paths of its files."""
        node = self.record.config.get(role) or {}
        return {
            k: _plain(v, False) for k, v in _flat("", node).items() if k not in INCIDENTAL[role] and k != "_target_"
        }

    def domain_fingerprint(self, role: str) -> str | None:
        """Return the fingerprint of a domain's content; None if the run stopped before it read the domain."""
        return self.record.data.get(role, {}).get("fingerprint")

    @property
    def transductive(self) -> bool:
        """Whether the run adapted to the test inputs."""
        return self.settings.get("transductive") == "true"

    @property
    def steps(self) -> int:
        """Number of planned optimizer steps."""
        epochs = int(self.record.config["trainer"]["max_epochs"])
        per_epoch = self.record.config["data"].get("steps_per_epoch")
        if per_epoch is None:
            samples = self.record.data.get("target", {}).get("sizes", {}).get("train", 0)
            per_epoch = -(-samples // int(self.record.config["data"].get("batch_size", 64)))
        return epochs * int(per_epoch)

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


def name_apart(runs: Iterable[Run]) -> None:
    """Make the names of pairs and methods unique in the report, by adding the settings that differ.

    Example:
        Runs of `fine_tune` with depths 0 and 2 become `fine_tune freeze.depth=0` and `fine_tune freeze.depth=2`.
    """
    runs = list(runs)
    for role in DOMAINS:
        alike: dict[str | None, set[str | None]] = {}
        for run in runs:
            alike.setdefault(getattr(run.pair, role), set()).add(run.domain_fingerprint(role))
        doubtful = {name for name, prints in alike.items() if name and len(prints - {None}) > 1}
        for name in doubtful:
            same = [run for run in runs if getattr(run.pair, role) == name]
            keys = varying(run.domain_settings(role) for run in same)
            for run in same:
                own = run.domain_settings(role)
                detail = ", ".join(f"{key}={own.get(key, 'default')}" for key in keys)
                label = f"{name} ({detail or str(run.domain_fingerprint(role))[:6]})"
                run.pair = run.pair._replace(**{role: label})
    for strategy in {run.strategy for run in runs}:
        same = [run for run in runs if run.strategy == strategy]
        keys = _telling(varying(run.settings for run in same), [run.settings for run in same])
        for run in same:
            run.method = Method(strategy, tuple((key, run.settings.get(key, "default")) for key in keys))


def varying(settings: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the settings whose values differ, in the order of their first occurrence."""
    settings = list(settings)
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({each.get(key) for each in settings}) > 1]


def _telling(keys: list[str], settings: list[dict[str, str]]) -> list[str]:
    """Drop the settings that the choice of their part determines, such as `start.before` if `start` determines it."""

    def follows(key: str) -> bool:
        part = key.partition(".")[0]
        choices = {each.get(part) for each in settings}
        return (
            part != key and part in keys and len({(each.get(part), each.get(key)) for each in settings}) == len(choices)
        )

    return [key for key in keys if not follows(key)]


def _flat(prefix: str, node: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}.{key}".lstrip(".")
        # An empty mapping is a setting too: `strategy.terms.bss: {}` is a term with default settings.
        flat |= _flat(name, value) if isinstance(value, dict) and value else {name: value}
    return flat


def _plain(value: Any, is_target: bool) -> str:
    if is_target:
        return str(value).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _snake(name: str) -> str:
    return "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
