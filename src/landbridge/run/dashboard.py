"""Logs the results of a finished run: test metrics for every logger, and tables and pictures for wandb.

Metrics of every task are logged. Pictures depend on the task: see `_of_classes` and `_of_numbers`. For other tasks the
embedding is shown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger, WandbLogger

from landbridge.record import OUTPUTS, SAMPLES, Record, read_arrays

#: Most samples of a scatter plot.
POINTS = 1000


def log_run(logger: Logger | None, record: Record, folder: Path, prefix: str, step: int) -> None:
    """Log test metrics as `prefix/role/metric`; log to wandb also the tables and pictures that the report shows.

    With several tasks, the metrics of each are logged as `prefix/role/task/metric`.

    Args:
        logger: the logger; with None, nothing is logged.
        record: record of the run, with results and epochs.
        folder: folder of the run, with the files of the final evaluation.
        prefix: `test`, or `oracle` if hidden labels chose the epoch.
        step: number of optimizer steps so far.
    """
    if logger is None:
        return
    results = {
        f"{prefix}/{role}{task}": metrics
        for role, result in record.results.items()
        for task, metrics in (("", result), *((f"/{name}", own) for name, own in result.get("by_task", {}).items()))
    }
    flat = {
        f"{place}/{name}": value
        for place, metrics in results.items()
        for name, value in metrics.items()
        if isinstance(value, float)
    }
    logger.log_metrics(flat, step=step)
    if isinstance(logger, WandbLogger):
        _show(logger.experiment, record, folder, prefix)


def _show(run: Any, record: Record, folder: Path, prefix: str) -> None:
    import wandb

    # A wandb workspace groups and filters runs by these entries.
    run.summary.update(
        {
            "strategy": record.choices.get("strategy") or record.config["strategy"]["_target_"].rpartition(".")[2],
            "pair": " → ".join(record.data[role]["name"] for role in ("source", "target") if role in record.data),
            "trainable_parameters": record.cost["trainable_parameters"],
        }
    )
    task = record.data["target"]["task"]
    outputs, samples = read_arrays(folder / OUTPUTS), read_arrays(folder / SAMPLES)
    shown: dict[str, Any] = {f"{prefix}/embedding": _embedding(wandb, record, outputs, samples)}
    if task["kind"] == "classification":
        shown |= _of_classes(wandb, task["names"], outputs, samples, prefix)
    if task["kind"] == "regression":
        shown |= _of_numbers(wandb, task["names"], outputs, prefix)
    if record.epochs:
        # Among the scores is the oracle's, which hidden labels made.
        rules = list(record.epochs[0]["scores"])
        rows = [[row["epoch"], row["seconds"], *(row["scores"].get(rule) for rule in rules)] for row in record.epochs]
        table: Any = wandb.Table
        shown["oracle/selection"] = table(columns=["epoch", "seconds", *rules], data=rows)
    run.log(shown)


def _of_classes(
    wandb: Any, classes: Sequence[str], outputs: Mapping[str, Any], samples: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """Return the confusion matrix and confident mistakes."""
    predicted = outputs["target_logits"].argmax(1)
    shown: dict[str, Any] = {
        f"{prefix}/confusion": wandb.plot.confusion_matrix(
            y_true=outputs["target_labels"].tolist(), preds=predicted.tolist(), class_names=list(classes)
        ),
    }
    if "target_pictures" in samples:
        confidence = torch.from_numpy(outputs["target_logits"]).softmax(1).amax(1)
        shown[f"{prefix}/confident_mistakes"] = [
            wandb.Image(
                picture,
                caption=f"{classes[outputs['target_labels'][at]]} → {classes[predicted[at]]}, {confidence[at]:.0%}",
            )
            for at, picture in zip(samples["target_mistakes"], samples["target_pictures"], strict=True)
        ]
    return shown


def _of_numbers(wandb: Any, names: Sequence[str], outputs: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return predicted against true values of each number, at most `POINTS` samples."""
    shown = {}
    for column, name in enumerate(names):
        true, predicted = outputs["target_labels"][:, column], outputs["target_logits"][:, column]
        known = [at for at in range(len(true)) if true[at] == true[at]]  # nan is a missing value
        rows = [[float(true[at]), float(predicted[at])] for at in known[:: -(-len(known) // POINTS) or 1]]
        table = wandb.Table(columns=["true", "predicted"], data=rows)
        shown[f"{prefix}/predictions/{name}"] = wandb.plot.scatter(table, "true", "predicted", title=name)
    return shown


def _embedding(wandb: Any, record: Record, outputs: Mapping[str, Any], samples: Mapping[str, Any]) -> Any:
    """Return the first two principal components of the kept samples, with the class or the first number of each."""
    roles = [role for role in ("source", "target") if f"{role}_positions" in samples]
    tasks = {role: record.data[role]["task"] for role in roles}
    kinds = {task["kind"] for task in tasks.values()}
    titles = {"classification": "class", "regression": "value"}
    title = [titles[kind] for kind in kinds if len(kinds) == 1 and kind in titles]

    def label(role: str, at: int) -> list[Any]:
        value = outputs[f"{role}_labels"][at]
        return [tasks[role]["names"][value] if title == ["class"] else float(value[0])] if title else []

    rows = [
        [moment, role, *label(role, at), *map(float, place)]
        for role in roles
        for moment in ("before", "after")
        for at, place in zip(samples[f"{role}_positions"], samples[f"{role}_{moment}"][:, :2], strict=True)
    ]
    width = len(rows[0]) - 2 - len(title)
    return wandb.Table(columns=["training", "domain", *title, *("first", "second")[:width]], data=rows)
