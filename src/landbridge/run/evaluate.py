"""The final evaluation. Sealed labels are opened only here.

No module that trains imports this module.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from landbridge.data.domain import Domain
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.record import OUTPUTS, best_epoch
from landbridge.run.epochs import Epochs, epoch_checkpoint
from landbridge.run.samples import Samples
from landbridge.selection import Oracle
from landbridge.strategies.base import Strategy
from landbridge.training.output import Output


def choose_epoch(epochs: Epochs, target: Domain) -> tuple[int, Path]:
    """Return the epoch that the run's rule chose, and its checkpoint.

    The oracle's score of every epoch is added to the rows. This score is the share of validation samples of the target
    whose kept prediction agrees with the hidden label. If the rule is the oracle, it chooses by this score, and the
    checkpoints of the other epochs are removed.
    """
    labels = target.splits["val"].labels.open("oracle: score of every epoch")
    for row, predictions in zip(epochs.rows, epochs.predictions, strict=True):
        row["scores"][Oracle.name] = float((predictions == labels).float().mean())
    if not epochs.rule.oracle:
        return epochs.selected, epochs.selected_checkpoint
    scores = [row["scores"][Oracle.name] for row in epochs.rows]
    best = best_epoch(scores)
    for other in range(len(scores)):
        if other != best:
            (epochs.folder / epoch_checkpoint(other)).unlink(missing_ok=True)
    return best, epochs.folder / epoch_checkpoint(best)


def test_domains(
    strategy: Strategy,
    data: TransferData,
    domains: Mapping[str, Domain],
    trainer: Trainer,
    samples: Samples,
    folder: Path,
    before: Strategy | None,
) -> dict[str, dict[str, Any]]:
    """Predict the test split of every domain and compute metrics of the predictions.

    The strategy reads inputs only. Labels are opened after all predictions of the domain are made.

    Args:
        strategy: the strategy with the weights of the chosen epoch.
        data: renders inputs as in training.
        domains: the domains by role.
        trainer: runs on a single device, so that no sample is counted twice.
        samples: collects embeddings and pictures of single samples for the report.
        folder: folder in which logits and labels are saved.
        before: the initial model, if it has a trained head. Its accuracy shows how much of the source's accuracy is
            kept and how much the target gains.

    Returns:
        Metrics by role; with `before`, they include `accuracy_at_start`.

    Raises:
        LandbridgeError: a prediction is not finite.
    """
    results, kept = {}, {}
    for role, domain in domains.items():
        split = domain.splits["test"]
        inputs, arrival = split.inputs, torch.arange(len(split.inputs))
        if strategy.test_order_seed is not None:
            arrival = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(strategy.test_order_seed))
            inputs = inputs.select(arrival)
        stream = Stream(inputs, data.streams.spec, activations=data.streams.cached(inputs))
        loader = data.in_order(role, stream, strategy.test_batch_size)
        logits, features = _predict(strategy, trainer, loader)
        logits_before = _predict(before, trainer, loader)[0] if before else None
        if not torch.isfinite(logits).all():
            raise LandbridgeError(
                f"training diverged: predictions for {domain.name} are not finite; try a lower optimizer.lr"
            )
        labels = split.labels.open("test")
        if len(logits) != len(labels):
            raise RuntimeError(f"{domain.name}: {len(logits)} predictions for {len(labels)} test samples")
        logits, features = logits[arrival.argsort()], features[arrival.argsort()]
        samples.keep(role, split.inputs, features, logits, labels)
        results[role] = {"domain": domain.name} | metrics(logits, labels)
        if logits_before is not None:
            right = logits_before[arrival.argsort()].argmax(1) == labels
            results[role]["accuracy_at_start"] = float(right.float().mean())
        kept |= {f"{role}_logits": logits.numpy(), f"{role}_labels": labels.numpy()}
    draft = folder / f".{OUTPUTS}"
    with draft.open("wb") as file:
        np.savez_compressed(file, **kept)
    draft.replace(folder / OUTPUTS)
    samples.write(folder)
    return results


def _predict(strategy: Strategy, trainer: Trainer, loader: Any) -> tuple[Tensor, Tensor]:
    """Return logits and features of all samples."""
    batches: Any = trainer.predict(strategy, loader)
    output = Output.cat(batches)
    return output.logits.float().cpu(), output.features.float().cpu()


def metrics(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Compute metrics of predictions.

    Args:
        logits: (n, classes).
        labels: class indices (n,).

    Returns:
        `n`; `accuracy` and `macro_f1` as shares of 1; `ece`, the expected calibration error over 15 equally wide bins
        of confidence (Guo et al., 2017, arXiv:1706.04599); `nll`, the mean negative log-likelihood in nats; `correct`,
        one bit a sample in the order of the split, packed (big-endian) and base64-encoded.
    """
    classes = logits.shape[1]
    predictions = logits.argmax(1)
    correct = predictions == labels
    confidence = logits.double().softmax(1).amax(1)
    # The bins are open on the left. In torchmetrics they are open on the right. There, a confidence of exactly 1, which
    # is frequent with floats, has a bin of its own.
    gaps = torch.bincount((confidence * 15).ceil().long(), weights=correct.double() - confidence)
    return {
        "n": len(labels),
        "accuracy": float(multiclass_accuracy(predictions, labels, classes, average="micro")),
        "macro_f1": float(multiclass_f1_score(predictions, labels, classes, average="macro")),
        "ece": float(gaps.abs().sum() / len(labels)),
        "nll": float(cross_entropy(logits, labels)),
        "correct": base64.b64encode(np.packbits(correct.numpy()).tobytes()).decode(),
    }
