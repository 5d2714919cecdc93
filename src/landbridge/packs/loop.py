"""Lightning's loops over the batches of an epoch, for a member of a pack: all steps of an epoch are taken at once.

Everything else is Lightning's own: what is restored from a checkpoint, which hooks are called, and what is saved. So a
run can leave a pack and resume alone, and the reverse.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loops.evaluation_loop import _EvaluationLoop
from pytorch_lightning.loops.progress import _Progress
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.trainer.states import RunningStage, TrainerFn

from landbridge.packs.epoch import Epoch
from landbridge.run.epochs import Epochs
from landbridge.training.output import Output


class PackedEpochLoop(_TrainingEpochLoop):
    """Takes all steps of an epoch at once, and leaves counters and schedulers as Lightning's loop does.

    Args:
        trainer: the trainer of the member.
        train: trains an epoch of a number, and returns it when it is done.
        predict: returns the outputs for the validation samples: by domain, those of each batch.
        epochs: scores the outputs.
    """

    def __init__(
        self,
        trainer: Trainer,
        train: Callable[[int], Epoch],
        predict: Callable[[], Sequence[Sequence[Output]]],
        epochs: Epochs,
    ) -> None:
        replaced = trainer.fit_loop.epoch_loop
        super().__init__(trainer, replaced.min_steps, replaced.max_steps)
        self.val_loop = _PackedEvaluationLoop(trainer, predict, epochs)
        self._train_epoch = train

    def advance(self, data_fetcher: Any) -> None:
        """Train an epoch.

        Raises:
            LandbridgeError: the member has diverged.
        """
        self.val_loop.restarting = False
        epoch = self._train_epoch(self.trainer.current_epoch)
        strategy = epoch.strategy
        strategy.passes += epoch.steps * sum(each.rows.shape[1] for each in epoch.streams.values())
        strategy.count_step(epoch.sums, epoch.steps)
        self._count(epoch.steps)
        for config in self.trainer.lr_scheduler_configs:
            _follow(config.scheduler, epoch.steps)

    def _count(self, steps: int) -> None:
        optimizer = self.automatic_optimization.optim_progress.optimizer
        counters = [self.batch_progress, optimizer.step, optimizer.zero_grad]
        if self.trainer.lr_scheduler_configs:
            counters.append(self.scheduler_progress)
        for each in counters:
            _advance(each, steps)
        self.batch_progress.is_last_batch = True
        # `on_advance_end` counts one more.
        self._batches_that_stepped += steps - 1
        # As after the last batch: the results of the epoch begin anew.
        self.trainer._logger_connector._first_loop_iter = steps == 1


class _PackedEvaluationLoop(_EvaluationLoop):
    """Gives the outputs for all validation samples to the callback that scores them.

    The head of a member does the same in training and in evaluation, so no mode is changed.
    """

    def __init__(self, trainer: Trainer, predict: Callable[[], Sequence[Sequence[Output]]], epochs: Epochs) -> None:
        super().__init__(trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False)
        self._predict = predict
        self._epochs = epochs

    @torch.no_grad()
    def run(self) -> list[Any]:
        """Predict and score."""
        self.setup_data()
        self._logged_outputs = []
        self.batch_progress.reset_on_run()
        self._on_evaluation_start()
        self._on_evaluation_epoch_start()
        for domain, outputs in enumerate(self._predict()):
            for batch, output in enumerate(outputs):
                self._epochs.on_validation_batch_end(self.trainer, None, output, None, batch, domain)
            _advance(self.batch_progress, len(outputs))
            self._seen_batches_per_dataloader[domain] += len(outputs)
        self.batch_progress.is_last_batch = self._has_run = True
        return self.on_run_end()

    def _on_evaluation_model_train(self) -> None:
        """Do nothing: the mode was not changed."""


def _advance(progress: _Progress, steps: int) -> None:
    for tracker in (progress.total, progress.current):
        for name in vars(tracker):
            setattr(tracker, name, getattr(tracker, name) + steps)


def _follow(scheduler: Any, steps: int) -> None:
    """Bring a scheduler to its state after some steps."""
    scheduler.optimizer._opt_called = True
    scheduler.last_epoch += steps - 1
    scheduler._step_count += steps - 1
    scheduler.step()
