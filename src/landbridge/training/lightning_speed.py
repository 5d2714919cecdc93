"""Changes that reduce the time Lightning spends in each training step.

`benchmarks/lightning_speed.py` measures each change by running the same training with it and without it. The table
has microseconds of CPU time per step on one thread, as medians and ranges of nine pairs:

| part | saves |
| --- | --- |
| `NoProfiler` | 42 (-35 to 57) |
| `FastModule.__setattr__` | 87 (60 to 175) |
| `FastModule.transfer_batch_to_device` | 31 (-17 to 339) |
| `skip_driver_check` | 172 (118 to 267) |
"""

import os
from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.profilers import PassThroughProfiler


class NoProfiler(PassThroughProfiler):
    """A profiler that measures nothing, and reuses one context.

    Lightning's own empty profiler creates a new context for each of about two dozen calls in a step.
    """

    _nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        """Return the same empty context for every action."""
        return self._nothing


class FastModule(LightningModule):
    """A LightningModule that skips work which training does not need."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning stores the name of each hook that it calls, dozens of times in a step. For each of them
        # `nn.Module.__setattr__` would check whether the value is a parameter.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def log_dict(self, dictionary: Any, *args: Any, **kwargs: Any) -> None:
        """Log values, if there is a logger, a progress bar, or a callback of the user that could read them."""
        trainer: Any = self.trainer
        users = [each for each in trainer.callbacks if not type(each).__module__.startswith("landbridge.")]
        if trainer.loggers or users:
            super().log_dict(dictionary, *args, **kwargs)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device that trains.

        On a CPU the batch is already in place. It is returned without a search for tensors.
        """
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)


def skip_driver_check() -> None:
    """Stop PyTorch from searching the disk for a GPU driver in every optimizer step, if there is no GPU.

    An environment variable that Lightning sets causes this search. The function removes the variable.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
