"""The final evaluation. Sealed labels are opened only here.

No module that trains imports this module.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.data.domain import Domain
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.record import OUTPUTS, best_epoch, pack_items, pack_scores
from landbridge.run.epochs import Epochs, epoch_checkpoint
from landbridge.run.overlaps import warn_of_clashes
from landbridge.run.samples import Samples
from landbridge.run.subgroups import subgroups
from landbridge.selection import Oracle, TargetVal
from landbridge.strategies.base import Strategy
from landbridge.tasks import Task, shown
from landbridge.training.output import Output

log = logging.getLogger(__name__)


def choose_epoch(epochs: Epochs, target: Domain) -> tuple[int, Path]:
    """Return the epoch that the run's rule chose, and its checkpoint.

    The oracle's score of every epoch is added to the rows. This score is the task's leading metric of the kept
    predictions on the target's validation split. If the rule is the oracle, it chooses by this score, and the
    checkpoints of the other epochs are removed.

    The scores on each half of that split are added too, as `halves`, for the oracle and for `target_val`. The report
    needs them: an epoch that was chosen by some labels looks better on these labels than it is. The hash of a sample
    decides its half.
    """
    split = target.splits["val"]
    labels = split.labels.open("oracle: score of every epoch")
    second = torch.from_numpy(split.inputs.hashes().content[:, -1] % 2 == 1)
    judges = {Oracle.name: labels, TargetVal.name: epochs.streams.validation_labels["target"]}
    for row, predictions in zip(epochs.rows, epochs.predictions, strict=True):
        row["scores"][Oracle.name] = target.task.score_of_condensed(predictions, labels)
        both = {
            name: [target.task.score_of_condensed(predictions[half], seen[half]) for half in (~second, second)]
            for name, seen in judges.items()
            if name in row["scores"]
        }
        # A half may show no label, or too few for the metric.
        row["halves"] = {name: scores for name, scores in both.items() if all(map(math.isfinite, scores))}
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
    before: Mapping[str, Strategy],
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
        before: the initial model by role, where it has a trained head. Its accuracy shows how much of the source's
            accuracy is kept and how much the target gains.

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
        stream = Stream(inputs, data.streams.format, activations=data.streams.cached(inputs))
        loader = data.in_order(role, stream, strategy.test_batch_size)
        logits, features = _predict(strategy, trainer, loader)
        logits_before = _predict(before[role], trainer, loader)[0] if role in before else None
        if not torch.isfinite(logits).all():
            raise LandbridgeError(
                f"training diverged: predictions for {domain.name} are not finite; try a lower optimizer.lr"
            )
        labels = split.labels.open("test")
        if not bool(shown(labels).any()):
            log.warning("%s: no sample of the test split has a label, so nothing is measured there", domain.name)
        warn_of_clashes(f"the {role} test split", domain.modality, split.inputs.hashes(), labels, domain.task)
        if len(logits) != len(labels):
            raise RuntimeError(f"{domain.name}: {len(logits)} predictions for {len(labels)} test samples")
        logits, features = logits[arrival.argsort()], features[arrival.argsort()]
        samples.keep(role, split.inputs, features, logits, labels)
        results[role] = {"domain": domain.name} | judged(domain.task, logits, labels) | pack_items(domain.items("test"))
        if groups := subgroups(domain.task, logits, labels, split.attributes):
            results[role]["subgroups"] = groups
        if logits_before is not None:
            leading = domain.task.leading
            results[role][f"{leading}_at_start"] = domain.task.score(logits_before[arrival.argsort()], labels)
        kept |= {f"{role}_logits": logits.numpy(), f"{role}_labels": labels.numpy()}
        kept |= {f"{role}_ids": np.array(split.inputs.ids(), dtype=np.str_)}
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


def judged(task: Task, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
    """Compute metrics of predictions.

    Args:
        task: what is predicted.
        outputs: of the network (n, k).
        labels: of the same samples (n, ...).

    Returns:
        the metrics of the task, and the value of each sample for paired statistics, in the order of the split: for
        classes `correct`, one bit a sample, packed (big-endian) and base64-encoded; for other tasks, and if a class is
        hidden, `sample_scores`, float32 in little-endian order, base64-encoded.
    """
    scores = task.sample_scores(outputs, labels)
    whole = task.has_classes and not bool(scores.isnan().any())
    return task.judge(outputs, labels) | pack_scores(scores.numpy(), whole)
