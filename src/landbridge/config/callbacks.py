"""Callbacks of Lightning that are refused, because landbridge does their work itself."""

from collections.abc import Mapping

from pytorch_lightning import callbacks as lightning

#: For each class, with those that derive from it: what to use in its place.
INSTEAD: Mapping[type, str] = {
    lightning.EarlyStopping: "use patience=... with a selection rule",
    lightning.Timer: "a stop that depends on the machine cannot be repeated: use trainer.max_epochs or patience",
    lightning.Checkpoint: "landbridge keeps the checkpoints itself: see selection and checkpoint_every",
    lightning.WeightAveraging: "use averaging=ema or averaging=swa",
    lightning.StochasticWeightAveraging: "use averaging=swa",
    lightning.BaseFinetuning: "use freeze=...",
    lightning.GradientAccumulationScheduler: "use trainer.accumulate_grad_batches",
    lightning.BatchSizeFinder: "set data.batch_size, because results depend on it",
    lightning.LearningRateFinder: "sweep over optimizer.lr",
    lightning.ModelPruning: "it replaces parameters, which the frozen stages and the checkpoints do not allow",
    lightning.ProgressBar: "landbridge shows the progress itself: see trainer.enable_progress_bar",
}


def instead_of(made: type) -> str:
    """Return what to use in place of a callback; empty if the callback can be used."""
    return next((hint for refused, hint in INSTEAD.items() if issubclass(made, refused)), "")
