"""Records in the format that runs write, with results that a test specifies."""

import base64
import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from landbridge.record import OUTPUTS, Record
from landbridge.record.record import SCHEMA

CLASSES = ["bar", "beam", "cross"]
ITEMS = 60
CLASSIFICATION: dict[str, Any] = {
    "kind": "classification",
    "leading": "accuracy",
    "names": CLASSES,
    "shown": {"accuracy": "accuracy", "macro_f1": "macro F1", "ece": "calibration error"},
}
REGRESSION: dict[str, Any] = {
    "kind": "regression",
    "leading": "r2",
    "names": ["size"],
    "shown": {"r2": "R2", "mae": "mean absolute error", "rmse": "root mean squared error"},
}
CONFIG: dict[str, Any] = {
    "name": "made",
    "seed": 0,
    "target_labels": 0,
    "terms": None,
    "data": {"_target_": "landbridge.data.transfer.TransferData", "batch_size": 16, "steps_per_epoch": 2},
    "backbone": {"_target_": "landbridge.models.backbones.small.DigitsCNN"},
    "start": {"_target_": "landbridge.models.start.Scratch"},
    "freeze": {"_target_": "landbridge.training.freezing.Depth", "depth": 0},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "scheduler": {"_target_": "landbridge.training.schedules.Constant"},
    "selection": {"_target_": "landbridge.selection.Last"},
    "trainer": {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 3},
    "logger": None,
}
TARGETS = {
    "source_only": "SourceOnly",
    "target_only": "TargetOnly",
    "fine_tune": "TargetOnly",
    "dann": "DANN",
    "mcc": "MCC",
}


def made(
    strategy: str = "dann",
    accuracy: float | None = 0.5,
    seed: int = 0,
    source: str | None = "noon",
    target: str = "dusk",
    oracle: Iterable[float] = (0.4, 0.6, 0.5),
    rules: dict[str, list[float]] | None = None,
    **settings: Any,
) -> Record:
    """Return a record. Without an accuracy, its run has failed.

    `settings` are dotted settings with `__` for the dot, such as `optimizer__lr=0.1`. Both halves of the validation
    split have the oracle's scores.
    """
    config = copy.deepcopy(CONFIG) | {
        "seed": seed,
        "source": {"_target_": f"x.{source}"},
        "target": {"_target_": f"x.{target}"},
    }
    config["strategy"] = {"_target_": f"landbridge.strategies.{TARGETS.get(strategy, strategy)}"}
    for key, value in settings.items():
        part, _, name = key.partition("__")
        if name:
            config[part][name] = value
        else:
            config[part] = value
    domains = {"source": source, "target": target}
    data = {
        role: {
            "name": name,
            "fingerprint": f"print of {name}",
            "classes": CLASSES,
            "sizes": {"train": 36, "val": 12, "test": ITEMS},
        }
        for role, name in domains.items()
        if name
    }
    record = Record(
        status="done" if accuracy is not None else "failed",
        reason=None if accuracy is not None else "LandbridgeError: training diverged",
        name="made",
        fingerprint=f"{strategy} {seed} {source} {target} {sorted(settings.items(), key=str)}",
        overrides=[f"strategy={strategy}", f"seed={seed}"],
        choices={"strategy": strategy},
        config=config,
        environment={"git": "abc"},
        data=data,
        selection={"rule": "last", "epoch": 2, "oracle": False},
        cost={"seconds": 10.0 + seed, "parameters": 900, "trainable_parameters": 800, "peak_memory_bytes": 5e8},
    )
    if accuracy is not None:
        record.results = {
            role: result(name, accuracy if role == "target" else 0.9) for role, name in domains.items() if name
        }
        scores = {"oracle": list(oracle), "last": [0.0, 1.0, 2.0], **(rules or {})}
        record.epochs = [
            {
                "epoch": i,
                "losses": {"supervised": 1.0},
                "scores": {name: row[i] for name, row in scores.items()},
                "halves": {"oracle": [scores["oracle"][i]] * 2},
                "seconds": 1.5,
            }
            for i in range(3)
        ]
    return record


def result(domain: str, accuracy: float) -> dict[str, Any]:
    """Return the test result of a domain: the first samples are correct, the other samples are wrong."""
    correct = np.arange(ITEMS) < round(accuracy * ITEMS)
    packed = base64.b64encode(np.packbits(correct).tobytes()).decode()
    return {
        "domain": domain,
        "n": ITEMS,
        "accuracy": accuracy,
        "macro_f1": accuracy,
        "ece": 0.1,
        "nll": 1.0,
        "correct": packed,
    }


def with_results(record: Record, task: dict[str, Any], **results: Any) -> Record:
    """Give all domains of a record another task and other test results, and return the record."""
    for role, own in record.results.items():
        record.data[role]["task"] = task
        record.results[role] = {"domain": own["domain"], "n": ITEMS, **results}
    return record


def write(folder: Path, records: Iterable[Record], outputs: bool = False, schema: int = SCHEMA) -> Path:
    """Write each record into a folder of its own, with matching test outputs if `outputs` is true.

    Records of schema 2 describe the task of each domain. Those of schema 1 do not.
    """
    rng = np.random.default_rng(0)
    for number, record in enumerate(records):
        run = folder / str(number)
        run.mkdir(parents=True)
        record.schema = schema
        if schema > 1:
            for domain in record.data.values():
                domain.setdefault("task", CLASSIFICATION)
        record.write(run)
        if outputs and record.results:
            kept = {}
            for role in record.results:
                kept[f"{role}_logits"] = rng.normal(size=(ITEMS, len(CLASSES))).astype(np.float32)
                kept[f"{role}_labels"] = rng.integers(len(CLASSES), size=ITEMS)
            np.savez_compressed(run / OUTPUTS, **kept)
    return folder


#: Names that would run a script, load something or break a table if they were not escaped.
HOSTILE = (
    "<script>window.hit = 1</script>",
    '"><img src="http://127.0.0.1:9/x" onerror="window.hit = 1">',
    "</title></svg><svg onload='window.hit = 1'>",
    "' onmouseover='window.hit = 1' x='",
    "</template></script><iframe src='javascript:window.hit = 1'></iframe>",
    "![x](http://127.0.0.1:9/y) | {{ 7 * 7 }} &lt;b&gt;",
    '=HYPERLINK("http://127.0.0.1:9")',
)


def hostile(folder: Path) -> Path:
    """Write runs in which all names are hostile: of classes, domains, groups, settings, strategies, and folders."""
    script, image, title, quote, frame, link, formula = HOSTILE
    records = []
    for strategy, accuracy in (("source_only", 0.4), (formula, 0.6), (quote, 0.5)):
        for seed in (0, 1, 2):
            rules = {link: [0.1, 0.3, 0.2], "im": [0.2, 0.1, 0.3]}
            record = made(strategy, accuracy + 0.01 * seed, seed, source=title, target=image, rules=rules)
            record.name = frame
            record.config["strategy"][quote] = frame if strategy == quote else script
            record.environment["git"] = image
            record.overrides.append(f"name={frame}")
            record.reason = script
            task = CLASSIFICATION | {"names": [script, formula, link], "shown": {"accuracy": "accuracy", "ece": frame}}
            for role, result in record.results.items():
                record.data[role] |= {"task": task, "classes": task["names"]}
                result["subgroups"] = {
                    quote: {name: {"n": 30, "accuracy": 0.5, "low": 0.4, "high": 0.6} for name in (script, link)}
                }
            records.append(record)
    failed = made(quote, None, 7, source=script, target=title)
    failed.reason = f"LandbridgeError: {image}"
    write(folder, [*records, failed], outputs=True)
    (folder / "0").rename(folder / frame.replace("/", "∕"))
    (folder / image.replace("/", "∕")).mkdir()
    (folder / image.replace("/", "∕") / "record.json").write_text("{")
    return folder
