"""A record as a report sees it: which domains, which method, which seed, and what else was set."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from landbridge.record import INCIDENTAL, Record

#: Parts of the configuration that make up a method: what is carried over, and how. All else must be equal in a pair.
METHOD = ("strategy", "start", "freeze", "tuning", "averaging", "terms", "transductive")
#: Parts that say where data come from; the domains' fingerprints stand for them.
DOMAINS = ("source", "target")


class Pair(NamedTuple):
    """A source and a target; without a source, the target alone."""

    source: str | None
    target: str

    def __str__(self) -> str:
        return f"{self.source} → {self.target}" if self.source else f"{self.target} alone"


class Method(NamedTuple):
    """A strategy with those settings in which its runs differ."""

    strategy: str
    variant: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.strategy, *(f"{key}={value}" for key, value in self.variant)])

    def without(self, key: str) -> "Method":
        """Return the method without one of its settings."""
        return Method(self.strategy, tuple((name, value) for name, value in self.variant if name != key))


@dataclass
class Run:
    """One record, and the folder it was read from.

    Attributes:
        folder: of the run.
        record: of the run.
        metric: of the test split by which runs are compared: `accuracy` or `macro_f1`.
        pair: its domains, by names that are unique in the report.
        method: its strategy and those settings that vary.
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
        """Whether it has test results."""
        return self.record.status == "done" and self.metric in self.record.results.get("target", {})

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.record.config["seed"]

    @property
    def score(self) -> float:
        """The metric on the target's test split, a share of 1."""
        return self.record.results["target"][self.metric]

    @property
    def source_score(self) -> float | None:
        """The same on the source's test split, where the run has a source domain."""
        return self.record.results.get("source", {}).get(self.metric)

    @cached_property
    def strategy(self) -> str:
        """The strategy by the name that was typed; by its class, where it was not."""
        typed = [each.partition("=")[2] for each in self.record.overrides if each.startswith("strategy=")]
        return self.record.choices.get("strategy") or (typed or [_snake(self.settings["strategy"])])[-1]

    @property
    def has_terms(self) -> bool:
        """Whether auxiliary losses are added, by the strategy's own file or by the user."""
        own = any(key.startswith("strategy.terms") for key in self.settings)
        return own or bool(self.record.config.get("terms"))

    @property
    def is_source_only(self) -> bool:
        """Whether it trains on the labelled source and on nothing else."""
        return self.settings["strategy"] == "SourceOnly" and not self.has_terms

    @property
    def is_target_only(self) -> bool:
        """Whether it trains on the labelled target alone, and nothing comes from elsewhere: `A(none, T)`."""
        alone = self.pair.source is None and not self.has_terms
        return alone and self.settings["strategy"] == "TargetOnly"

    @property
    def as_reference(self) -> str:
        """What it is called where others are compared with it."""
        return "scratch" if self.is_target_only and self.strategy != "target_only" else self.strategy

    @cached_property
    def settings(self) -> dict[str, str]:
        """All that was configured, as `part.setting: value`, without what is incidental, the seed and the domains."""
        flat: dict[str, str] = {}
        for part, node in self.record.config.items():
            if part in INCIDENTAL[""] or part in DOMAINS or part == "seed":
                continue
            hidden = INCIDENTAL.get(part, ())
            values = {part: node} if not isinstance(node, dict) else _flat(part, node)
            for key, value in values.items():
                # A seed that follows the run's own, such as `strategy.order_seed`, is no setting.
                if key.endswith("seed") and value == self.seed:
                    continue
                if key.removeprefix(f"{part}.").partition(".")[0] not in hidden:
                    flat[key.removesuffix("._target_")] = _plain(value, key.endswith("_target_"))
        return flat

    def domain_settings(self, role: str) -> dict[str, str]:
        """What was configured of a domain, without where its files lie."""
        node = self.record.config.get(role) or {}
        return {
            k: _plain(v, False) for k, v in _flat("", node).items() if k not in INCIDENTAL[role] and k != "_target_"
        }

    def domain_fingerprint(self, role: str) -> str | None:
        """The fingerprint of a domain's content, None before it was read."""
        return self.record.data.get(role, {}).get("fingerprint")

    @property
    def transductive(self) -> bool:
        """Whether it adapted to the very inputs that it was tested on."""
        return self.settings.get("transductive") == "true"

    @property
    def steps(self) -> int:
        """Optimizer steps that were planned."""
        epochs = int(self.record.config["trainer"]["max_epochs"])
        per_epoch = self.record.config["data"].get("steps_per_epoch")
        if per_epoch is None:
            samples = self.record.data.get("target", {}).get("sizes", {}).get("train", 0)
            per_epoch = -(-samples // int(self.record.config["data"].get("batch_size", 64)))
        return epochs * int(per_epoch)

    @property
    def target_labels(self) -> float:
        """How many target labels per class training saw: 0, a number, or infinity for all."""
        budget = self.record.config.get("target_labels", 0)
        return float("inf") if budget == "all" else float(budget)

    def _domain(self, role: str) -> str | None:
        if role in self.record.data:
            return self.record.data[role]["name"]
        if role == "source" and self.record.data:
            # No source domain was read; weights may have been brought from elsewhere.
            start = self.settings["start"]
            return {"Pretrained": "pretrained weights", "Checkpoint": "a checkpoint"}.get(start)
        node = self.record.config.get(role)
        chosen = self.record.choices.get(role)
        return chosen or (str(node["_target_"]).rpartition(".")[2] if node else None)


def name_apart(runs: Iterable[Run]) -> None:
    """Give every run a pair and a method by which it differs from the others in the report."""
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
    """Return the settings whose values differ, the plain ones before those of a part that differs as a whole."""
    settings = list(settings)
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({each.get(key) for each in settings}) > 1]


def _telling(keys: list[str], settings: list[dict[str, str]]) -> list[str]:
    """Leave out a part's settings that follow from which part was chosen, such as `start.before` from `start`."""

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
        # An empty mapping stands too: `strategy.terms.bss: {}` is a term with its defaults.
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
