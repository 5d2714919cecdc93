"""The model card of one run, as Markdown: what the model is for, how good it is, and how to make it again.

The headings follow Mitchell et al. (2019, arXiv:1810.03993). Everything is read from the record. What a record cannot
know, such as the licence of one's own data, is named as a gap to fill in.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import numpy as np

from landbridge.record import Record, finished_record, unpack_scores
from landbridge.report.metrics import Metric, metric_of
from landbridge.report.runs import Run
from landbridge.report.written import marked
from landbridge.statistics import t_interval, wilson_interval

CARD = "model_card.md"
#: Names of classes and columns that are listed.
LISTED = 30
#: Test samples below which an accuracy is hardly known: the interval is wider than 10 points.
FEW = 400
#: Licences of data that come with landbridge's dependencies or that torchvision downloads, by the name in settings.
DATA = {
    "uci_digits": "CC BY 4.0 (UCI Machine Learning Repository, Optical Recognition of Handwritten Digits)",
    "fashion_mnist": "MIT (Zalando Research)",
}
UNKNOWN = "not in the record: state it here"


def card(folder: Path) -> str:
    """Return the model card of a finished run.

    Args:
        folder: the run's folder.

    Raises:
        LandbridgeError: there is no such run, or it is not finished.
    """
    run = Run(folder, finished_record(folder))
    parts = {
        "Intended data": _data(run),
        "Model": _model(run),
        "Results on the test split": _results(run),
        "Limitations": _limitations(run),
        "Licences": _licences(run.record),
        "How to make it again": _command(run.record),
    }
    title = f"# Model card: {_text(run.strategy)} on {_text(run.record.data['target']['name'])}"
    fingerprint = f"Fingerprint of configuration and data: `{run.record.fingerprint}`."
    sections = ["\n".join([f"## {name}", "", *lines]) for name, lines in parts.items()]
    return marked("\n\n".join([title, fingerprint, *sections]) + "\n")


def _data(run: Run) -> Iterator[str]:
    task = run.task()
    for role in ("target", "source"):
        if domain := run.record.data.get(role):
            inputs = domain.get("inputs", {})
            what = f"{inputs['kind']}s" if inputs else "samples"
            sizes = ", ".join(f"{n} {split}" for split, n in domain["sizes"].items())
            yield f"- {role.capitalize()}: {_text(domain['name'])}, {what} ({sizes})"
            if columns := inputs.get("columns"):
                yield f"- Columns: {_names(columns)}"
    predicts = {
        "classification": "one class a sample",
        "multi_label": "any number of classes a sample",
        "regression": "numbers",
        "several": "several tasks",
    }
    kind = task["kind"]
    yield f"- Predicts {predicts.get(kind, kind)}: {_names(task['names'])}"
    labels = run.record.config["target_labels"]
    seen = {0: "none", "all": "all"}.get(labels, f"{labels} {'per class' if kind == 'classification' else 'samples'}")
    yield f"- Labels of the target that training saw: {seen}"


def _model(run: Run) -> Iterator[str]:
    record, config = run.record, run.record.config
    backbone = {key: value for key, value in config["backbone"].items() if key != "_target_"}
    name = record.choices.get("backbone") or config["backbone"]["_target_"].rpartition(".")[2]
    yield f"- Backbone: {_text(name)}{f' ({_text(_settings(backbone))})' if backbone else ''}"
    if run.continues:
        yield f"- Continues {_text(run.continues)}"
    yield f"- Initial weights: {_text(record.start['origin']) if record.start else 'random'}"
    for group in ("strategy", "freeze", "tuning", "averaging"):
        if node := config.get(group):
            own = {key: value for key, value in node.items() if key != "_target_"}
            chosen = record.choices.get(group) or node["_target_"].rpartition(".")[2]
            yield f"- {group.capitalize()}: {_text(chosen)}{f' ({_text(_settings(own))})' if own else ''}"
    selection = record.selection
    if selection.get("epoch") is not None:
        yield f"- Epoch {selection['epoch'] + 1} of {len(record.epochs)}, chosen by the rule {selection['rule']}"
    if "parameters" in record.cost:
        yield f"- {record.cost['parameters']:,} parameters, of which {record.cost['trainable_parameters']:,} trained"


def _results(run: Run) -> Iterator[str]:
    yield "| domain | group | n | metric | value | 95 % interval |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for role, result in run.record.results.items():
        task, domain = run.task(role), _text(result["domain"])
        for key, title in task.get("shown", {task["leading"]: task["leading"]}).items():
            if isinstance(result.get(key), float):
                interval = _interval(key, result)
                yield _row(domain, "all", result["n"], metric_of(key, {key: title}), result[key], interval)
        for name, value in result.get("accuracy_by_class", {}).items():
            yield _row(domain, f"class {name}", "", metric_of("accuracy"), value, None)
        for name, own in result.get("by_task", {}).items():
            leading = task["tasks"][name]["leading"]
            yield _row(domain, f"task {name}", own["n"], metric_of(leading), own[leading], None)
        for attribute, groups in result.get("subgroups", {}).items():
            for value, own in groups.items():
                metric, ends = metric_of(task["leading"]), (own["low"], own["high"])
                yield _row(domain, f"{attribute} {value}", own["n"], metric, own[task["leading"]], ends)


def _interval(key: str, result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the interval of a metric that is a mean over samples: accuracy, and the mean absolute error."""
    if key == "accuracy" and "correct" in result:
        right = unpack_scores(result)
        interval = wilson_interval(int(right.sum()), len(right))
        return interval.low, interval.high
    if key == "mae" and len(scores := unpack_scores(result)) > 1:
        interval = t_interval(-scores[~np.isnan(scores)])
        return interval.low, interval.high
    return None


def _row(domain: str, group: str, n: Any, metric: Metric, value: float, interval: tuple[float, float] | None) -> str:
    ends = f"[{metric.text(interval[0])}, {metric.text(interval[1])}]" if interval else ""
    return f"| {domain} | {_text(group)} | {n} | {_text(metric.title)} | {metric.full(value)} | {ends} |"


def _limitations(run: Run) -> Iterator[str]:
    record, result, kind = run.record, run.record.results["target"], run.task()["kind"]
    yield "- The results hold for samples that come from where the test split comes from. Other data were not tested."
    if kind in ("classification", "multi_label"):
        yield "- It knows only the classes above, and answers with one of them for every input, also for unlike ones."
    if "ece" in result:
        yield f"- Its confidence is off by {100 * result['ece']:.1f} points on average (expected calibration error)."
    if result["n"] < FEW:
        yield f"- The test split has {result['n']} samples, so a difference of a few points means little."
    if "subgroups" not in result:
        yield "- Results of subgroups (devices, places, groups of people) are not known: no attribute was given."
    if record.selection.get("oracle"):
        yield "- ORACLE: hidden labels chose the epoch. The results are better than one may expect."
    if record.config.get("transductive"):
        yield "- Transductive: training or the test read the test inputs without labels."
    if not record.config["target_labels"]:
        yield "- It was trained without labels of the target."
    yield "- One seed was run: another one gives other results."


def _licences(record: Record) -> Iterator[str]:
    package = record.config["backbone"].get("weights")
    origin = record.start["origin"] if record.start else None
    yield f"- Initial weights: {'random, so none' if origin is None else _package_licence(origin, package)}"
    for role in ("target", "source"):
        if role in record.data:
            option = record.choices.get(role) or record.data[role]["name"]
            yield f"- {role.capitalize()} {_text(record.data[role]['name'])}: {DATA.get(str(option), UNKNOWN)}"


def _package_licence(origin: str, package: str | None) -> str:
    """Return the licence that a package of weights states."""
    if package is None or package != origin:
        return UNKNOWN
    try:
        found: Any = metadata(package)
    except PackageNotFoundError:
        return UNKNOWN
    stated = found.get("License-Expression") or found.get("License") or "UNKNOWN"
    return f"package {package}: " + (UNKNOWN if stated.upper() == "UNKNOWN" else _text(stated.splitlines()[0]))


def _command(record: Record) -> Iterator[str]:
    yield "```sh"
    yield f"landbridge {shlex.join(record.overrides)}".replace("\n", " ").replace("```", "")
    yield "```"
    yield ""
    versions = record.environment.get("versions", {})
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    revision = record.environment.get("git") or "unknown"
    yield f"Seed {record.config['seed']}; {named or 'versions unknown'}; git {revision}."


def _names(names: Sequence[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(_text, names[:LISTED])) + more


def _settings(node: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in node.items())


def _text(value: object) -> str:
    """Return a name so that Markdown shows it as it is, on one line."""
    plain = " ".join(str(value).encode(errors="backslashreplace").decode().split())
    for mark in "\\`*[]|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain.replace("&", "&amp;").replace("<", "&lt;")
