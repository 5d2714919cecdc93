"""The end of every epoch: the selection rules score the epoch, and its checkpoint is kept."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from landbridge.data.activations import Activation
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.record import best_epoch
from landbridge.run.checkpoints import LAST, SELECTED, Checkpoints
from landbridge.run.random_states import random_state, restore_random_state
from landbridge.selection import RULES, Last, Rule, ValidationOutputs
from landbridge.tasks import shown
from landbridge.training.output import Output

log = logging.getLogger(__name__)


def allowed_rules(streams: TransferStreams, rule: Rule) -> list[Rule]:
    """Return all selection rules that the setting allows.

    The configured rule has its configured settings, the others have their defaults. A rule that runs the model on
    further inputs is left out unless it is the configured rule.

    Raises:
        LandbridgeError: the configured rule reads labels that the setting hides, or needs more samples.
    """
    visible = {f"{role}_labels" for role, labels in streams.validation_labels.items() if bool(shown(labels).any())}
    if lacking := rule.needs - streams.task.gives:
        raise LandbridgeError(
            f"selection={rule.name} needs {' and '.join(sorted(lacking))}, and the target's task is "
            f"{streams.task.kind.replace('_', ' ')}"
        )
    if rule.kinds is not None and (kind := streams.format.kind) not in rule.kinds:
        raise LandbridgeError(
            f"selection={rule.name} works on inputs that are {' or '.join(f'{each}s' for each in sorted(rule.kinds))}, "
            f"and the backbone takes {kind}s; choose another rule"
        )
    if streams.source_task is not None and not rule.separate_heads:
        raise LandbridgeError(
            f"selection={rule.name} needs one head for source and target, and label_sets=different gives each its own"
        )
    if not rule.oracle and not rule.required_labels <= visible:
        hidden = " and ".join(sorted(rule.required_labels - visible)).replace("_", " ")
        allowed = [each.name for each in RULES if each.required_labels <= visible and _serves(each, streams)]
        raise LandbridgeError(
            f"selection={rule.name} reads {hidden}, which this setting hides; it allows: {', '.join(allowed)}"
        )
    if short := _too_few(rule, streams):
        raise LandbridgeError(
            f"selection={rule.name} needs at least {rule.least} validation samples, but {' and '.join(short)}"
        )
    others = [each() for each in RULES if each.required_labels <= visible and each.name != rule.name]
    others = [each for each in others if _serves(each, streams)]
    others = [each for each in others if not each.predicts and not _too_few(each, streams)]
    return others if rule.oracle else [*others, rule]


def _serves(rule: Rule | type[Rule], streams: TransferStreams) -> bool:
    """Return whether a rule can score the outputs of a task, on inputs of a kind."""
    if streams.source_task is not None and not rule.separate_heads:
        return False
    return rule.needs <= streams.task.gives and (rule.kinds is None or streams.format.kind in rule.kinds)


def _too_few(rule: Rule, streams: TransferStreams) -> list[str]:
    """Describe each domain that the rule reads and that has too few validation samples, as in `the source has 3`."""
    looks_at = {"target"} | {role for role in streams.validation if f"{role}_labels" in rule.required_labels}
    sizes = {role: len(streams.validation_labels[role]) for role in sorted(looks_at)}
    return [f"the {role} has {size}" for role, size in sizes.items() if size < rule.least]


class Epochs(Checkpoint):
    """Scores every epoch under every allowed rule, and keeps the checkpoints to resume from and to evaluate.

    Args:
        rule: the configured rule.
        streams: the streams and labels that the setting shows.
        folder: folder of the checkpoints: `last.ckpt`, and `selected.ckpt` if the rule prefers another epoch. For an
            oracle, every epoch is kept until the final evaluation has chosen one.
        every: seconds between two checkpoints; see `Checkpoints`.
        patience: training stops after so many epochs that the rule does not prefer; None: it never does.
        report: called with all rows so far at the end of each epoch, on the first process only.
    """

    def __init__(
        self,
        rule: Rule,
        streams: TransferStreams,
        folder: Path,
        every: float,
        report: Callable[[list[dict[str, Any]]], None],
        patience: int | None = None,
    ) -> None:
        if patience and (rule.oracle or rule.name == Last.name):
            raise LandbridgeError(
                f"patience={patience} needs a selection rule that prefers an epoch during training, and "
                f"selection={rule.name} does not: choose another one, or set patience=null"
            )
        self.rule = rule
        self.rules = allowed_rules(streams, rule)
        self.streams = streams
        self.folder = folder
        self.checkpoints = Checkpoints(folder, 0 if rule.oracle else every)
        self.report = report
        self.patience = patience
        #: Whether training has stopped before its last planned epoch.
        self.stopped_early = False
        #: One row for each epoch: its losses, its score under every rule, its seconds.
        self.rows: list[dict[str, Any]] = []
        #: Predicted classes of the target's validation samples, one tensor for each epoch. The oracle reads them.
        self.predictions: list[Tensor] = []
        #: The epoch that the rule prefers so far. An oracle has no preference before the final evaluation.
        self.selected = 0
        self._outputs: dict[str, list[Output]] = {}
        self._scores: dict[str, float] = {}
        self._random: dict[str, Any] | None = None
        self._began = 0.0

    @property
    def selected_checkpoint(self) -> Path:
        """The checkpoint of the epoch that the rule prefers."""
        last = self.selected == len(self.rows) - 1
        return self.folder / (LAST if last else SELECTED)

    # Scoring --------------------------------------------------------------------------------------------------------

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep a batch of outputs."""
        role = tuple(self.streams.validation)[dataloader_idx]
        self._outputs.setdefault(role, []).append(outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Score the epoch under every rule."""
        target = self.streams.validation["target"]
        outputs = {role: Output.cat(batches) for role, batches in self._outputs.items()}
        evidence = ValidationOutputs(
            epoch=trainer.current_epoch,
            logits={role: output.logits.float().cpu() for role, output in outputs.items()},
            features={role: output.features.float().cpu() for role, output in outputs.items()},
            labels=self.streams.validation_labels,
            task=self.streams.task,
            source_task=self.streams.source_task,
            inputs=lambda positions: target.inputs.read(positions, target.format)[0].float(),
            predict=lambda x: self._predict(x, pl_module),
        )
        self._outputs = {}
        self._scores = {rule.name: rule.score(evidence) for rule in self.rules}
        self.predictions.append(self.streams.task.condensed(evidence.logits["target"]))
        pl_module.log_dict({f"val/{name}": score for name, score in self._scores.items() if name != "last"})

    def _predict(self, x: Tensor, pl_module: Any) -> Tensor:
        parts = x.to(pl_module.device).split(pl_module.data.eval_batch_size)
        batches = [{"x": Activation(0, (part,)), "index": torch.arange(len(part))} for part in parts]
        encoded = [pl_module.encode("target", batch) for batch in batches]
        return torch.cat([part.logits for part in encoded]).cpu()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add the epoch's row, and keep its checkpoint."""
        seconds = round(time.perf_counter() - self._began, 3)
        row = {"epoch": trainer.current_epoch, "losses": pl_module.epoch_losses, "scores": self._scores}
        self.rows.append(row | pl_module.note | {"seconds": seconds})
        if not self.rule.oracle:
            self.selected = best_epoch([row["scores"][self.rule.name] for row in self.rows])
        if self._is_out_of_patience(trainer):
            log.info("training stops: no better score of %s for %d epochs", self.rule.name, self.patience)
            self.stopped_early = trainer.should_stop = True
        self.checkpoints.keep(trainer, self._kept_as(trainer.current_epoch))
        if trainer.is_global_zero:
            self.report(self.rows)

    def leave_out(self, seconds: float) -> None:
        """Do not count the last seconds as a part of the epoch, because another run has worked then."""
        self._began += seconds
        self.checkpoints.leave_out(seconds)

    def _is_out_of_patience(self, trainer: Trainer) -> bool:
        """Return whether training stops, which all processes must decide alike."""
        ended = trainer.current_epoch + 1 == trainer.max_epochs
        out = bool(self.patience and not ended and trainer.current_epoch - self.selected >= self.patience)
        return trainer.strategy.broadcast(out)

    def _kept_as(self, epoch: int) -> str | None:
        if self.rule.oracle:
            return epoch_checkpoint(epoch)
        return SELECTED if self.selected == epoch and self.rule.name != "last" else None

    # State: a resumed run continues with the same rows and the same random numbers -----------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return rows, predictions and the state of all random generators."""
        return {
            "rows": self.rows,
            "predictions": torch.stack(self.predictions) if self.predictions else torch.empty(0),
            "selected": self.selected,
            "stopped_early": self.stopped_early,
            "random": random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of `state_dict`. The random generators are restored when the next epoch starts."""
        self.rows = list(state_dict["rows"])
        self.predictions = list(state_dict["predictions"])
        self.selected = state_dict["selected"]
        self.stopped_early = state_dict.get("stopped_early", False)
        self._random = state_dict["random"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Stop at once if a resumed run has already stopped early."""
        trainer.should_stop = trainer.should_stop or self.stopped_early

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the epoch's clock, and set the random generators.

        After a resume, the first process restores the state of its generators from the checkpoint. Every other process
        draws numbers of its own, so that no two processes drop the same units. The checkpoint has the state of the
        first process only. The others are therefore seeded anew in every epoch, from seed, rank and epoch.
        """
        self._began = time.perf_counter()
        if trainer.global_rank:
            mixed = np.random.SeedSequence([self.streams.seed, trainer.global_rank, trainer.current_epoch])
            seed_everything(int(mixed.generate_state(1)[0]), workers=True, verbose=False)
        elif self._random is not None:
            restore_random_state(self._random)
        self._random = None


def epoch_checkpoint(epoch: int) -> str:
    """Return the file name of the checkpoint of an epoch that an oracle may choose."""
    return f"ORACLE-epoch-{epoch:04d}.ckpt"
