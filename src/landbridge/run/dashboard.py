"""Logs the results of a finished run: test metrics for every logger, and tables and pictures for wandb."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger, WandbLogger

from landbridge.record import OUTPUTS, SAMPLES, Record, read_arrays


def log_run(logger: Logger | None, record: Record, folder: Path, prefix: str, step: int) -> None:
    """Log test metrics as `prefix/role/metric`; log to wandb also the tables and pictures that the report shows.

    Args:
        logger: the logger; with None, nothing is logged.
        record: record of the run, with results and epochs.
        folder: folder of the run, with the files of the final evaluation.
        prefix: `test`, or `oracle` if hidden labels chose the epoch.
        step: number of optimizer steps so far.
    """
    if logger is None:
        return
    flat = {
        f"{prefix}/{role}/{name}": value
        for role, result in record.results.items()
        for name, value in result.items()
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
    of_classes = record.data["target"]["task"]["kind"] == "classification"
    shown = _of_classes(wandb, record, folder, prefix) if of_classes else {}
    if record.epochs:
        # Among the scores is the oracle's, which hidden labels made.
        rules = list(record.epochs[0]["scores"])
        rows = [[row["epoch"], row["seconds"], *(row["scores"].get(rule) for rule in rules)] for row in record.epochs]
        table: Any = wandb.Table
        shown["oracle/selection"] = table(columns=["epoch", "seconds", *rules], data=rows)
    run.log(shown)


def _of_classes(wandb: Any, record: Record, folder: Path, prefix: str) -> dict[str, Any]:
    """Return what is shown of a classification: the confusion matrix, the embedding and confident mistakes."""
    classes = record.data["target"]["classes"]
    outputs, samples = read_arrays(folder / OUTPUTS), read_arrays(folder / SAMPLES)
    predicted = outputs["target_logits"].argmax(1)
    shown: dict[str, Any] = {
        f"{prefix}/confusion": wandb.plot.confusion_matrix(
            y_true=outputs["target_labels"].tolist(), preds=predicted.tolist(), class_names=classes
        ),
        f"{prefix}/embedding": _embedding(wandb, outputs, samples, classes),
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


def _embedding(wandb: Any, outputs: Mapping[str, Any], samples: Mapping[str, Any], classes: list[str]) -> Any:
    rows = [
        [moment, role, classes[outputs[f"{role}_labels"][at]], *map(float, place)]
        for role in ("source", "target")
        if f"{role}_positions" in samples
        for moment in ("before", "after")
        for at, place in zip(samples[f"{role}_positions"], samples[f"{role}_{moment}"][:, :2], strict=True)
    ]
    width = len(rows[0]) - 3
    return wandb.Table(columns=["training", "domain", "class", *("first", "second")[:width]], data=rows)
