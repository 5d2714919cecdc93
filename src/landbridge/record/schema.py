"""What a record must look like. A record is checked once, when it is read, so that no reader has to doubt it."""

import base64
import binascii
import math
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Len
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)

Count = Annotated[int, Ge(0)]
Seconds = Annotated[float, Ge(0), AllowInfNan(False)]


class _Part(BaseModel):
    # Strict: the text "0.5" is no number. Entries of newer versions and of plugins are kept.
    model_config = ConfigDict(strict=True, extra="allow")


class _Task(_Part):
    kind: str
    leading: str
    names: list[str]
    shown: dict[str, str] = {}
    tasks: dict[str, "_Task"] = {}


class _Domain(_Part):
    name: str = ""
    fingerprint: str | None = None
    # A record without the description of a task is one of a classification.
    task: _Task = _Task(kind="classification", leading="accuracy", names=[])
    classes: list[str] = []
    sizes: dict[str, Count] = {}
    samples: str | None = None


def _has_samples(subgroup: dict[str, float | None]) -> dict[str, float | None]:
    if subgroup.get("n") is None:
        raise ValueError("a subgroup needs n, the number of its samples")
    return subgroup


def _are_numbers(cost: dict[str, Any]) -> dict[str, Any]:
    counts = ("parameters", "trainable_parameters", "steps", "source_steps", "passes", "source_passes")
    for key in ("seconds", "peak_memory_bytes", *counts):
        value = cost.get(key)
        if isinstance(value, dict) or (value is not None and not 0 <= value < math.inf):
            raise ValueError(f"{key} is {value}, no number from 0 on")
    return cost


_Subgroup = Annotated[dict[str, float | None], AfterValidator(_has_samples)]
_Cost = Annotated[dict[str, float | dict[str, Any] | None], AfterValidator(_are_numbers)]


class _Result(_Part):
    domain: str = ""
    n: Count = 0
    correct: str = ""
    sample_scores: str = ""
    items: str = ""
    subgroups: dict[str, dict[str, _Subgroup]] = {}
    by_task: dict[str, "_Result"] = {}

    @model_validator(mode="after")
    def _holds_every_sample(self) -> "_Result":
        found = {name: self._bytes_of(name) for name in ("correct", "sample_scores", "items") if self._has(name)}
        if found.get("correct", size := -(-self.n // 8)) != size:
            raise ValueError(f"correct has {found['correct']} bytes, but {self.n} samples take {size}")
        # `n` counts the samples with a label, and those without one have a score too, which is nan.
        samples = max(self.n, found.get("sample_scores", 0) // 4)
        for name in ("sample_scores", "items"):
            if found.get(name, 4 * samples) != 4 * samples:
                raise ValueError(f"{name} has {found[name]} bytes, but {samples} samples take {4 * samples}")
        return self

    def _has(self, name: str) -> bool:
        return name in self.model_fields_set

    def _bytes_of(self, name: str) -> int:
        try:
            return len(base64.b64decode(getattr(self, name), validate=True))
        except binascii.Error as error:
            raise ValueError(f"{name} is not base64") from error


class _Selection(_Part):
    rule: str = ""
    epoch: Count | None = None
    oracle: bool = False
    checkpoint: str | None = None


class _Epoch(_Part):
    epoch: Count = 0
    losses: dict[str, float]
    scores: dict[str, float]
    halves: dict[str, Annotated[list[float], Len(2, 2)]] = {}
    seconds: Seconds = 0.0


class _Parent(_Part):
    folder: str
    epochs: Count


class _Training(_Part):
    max_epochs: Annotated[int, Gt(0)] | None = None


class _Batches(_Part):
    batch_size: Annotated[int, Gt(0)] | None = None
    steps_per_epoch: Annotated[int, Gt(0)] | None = None


def _names_targets(node: Any) -> Any:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "_target_" and not isinstance(value, str):
            raise ValueError("_target_ is not the name of a class or of a function")
        _names_targets(value)
    return node


class _Config(_Part):
    seed: int = 0
    target_labels: Count | Literal["all"] = 0
    trainer: _Training = _Training()
    data: _Batches = _Batches()
    source: dict[str, Any] | None = None
    target: dict[str, Any] | None = None


class _Record(_Part):
    model_config = ConfigDict(strict=True, extra="forbid")

    status: str = "running"
    reason: str | None = None
    name: str = ""
    fingerprint: str | None = None
    overrides: list[str] = []
    choices: dict[str, str | None] = {}
    config: Annotated[_Config, BeforeValidator(_names_targets)] = _Config()
    environment: dict[str, Any] = {}
    data: dict[str, _Domain] = {}
    parent: _Parent | None = None
    start: dict[str, Any] | None = None
    selection: _Selection = _Selection()
    results: dict[str, _Result] = {}
    cost: _Cost = {}
    epochs: list[_Epoch] = []
    seal: dict[str, list[str]] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> "_Record":
        if self.status not in ("running", "done", "failed"):
            raise ValueError(f"status is {self.status!r}, not running, done or failed")
        if self.status == "done":
            chosen = self.selection.epoch
            if chosen is not None and chosen >= len(self.epochs):
                raise ValueError(f"selection.epoch is {chosen}, but there are {len(self.epochs)} epochs")
            lacking = [
                name
                for name, there in (
                    ("fingerprint", self.fingerprint),
                    ("data.target", "target" in self.data),
                    ("results.target", "target" in self.results),
                    ("selection.rule", self.selection.rule),
                )
                if not there
            ]
            if not lacking:
                leading = self.data["target"].task.leading
                value = (self.results["target"].model_extra or {}).get(leading)
                there = isinstance(value, int | float) and not isinstance(value, bool)
                lacking = [] if there else [f"the number results.target.{leading}"]
            if lacking:
                raise ValueError(f"status is done, but the record lacks {', '.join(lacking)}")
        return self


def find_fault(content: dict[str, Any]) -> str:
    """Return what is wrong with a record, in a few words that name the place; empty if nothing is."""
    try:
        _Record.model_validate({key: value for key, value in content.items() if key != "schema"})
    except ValidationError as error:
        first, *others = error.errors()
        place = ".".join(str(each) for each in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        said = said[:1].lower() + said[1:]
        more = f" ({len(others)} more)" if others else ""
        return f"{place}: {said}{more}" if place else said + more
    return ""
