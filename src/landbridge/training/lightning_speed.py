"""What is done so that Lightning costs less in each step.

`benchmarks/lightning_speed.py` measures each part by running the same training with it and without it. Microseconds a
step on one thread of a laptop-class CPU, medians of seven pairs:

| part | saves |
| --- | --- |
| `NoProfiler` | NO_PROFILER |
| `FastModule.__setattr__` | SETATTR |
| `FastModule.transfer_batch_to_device` | TRANSFER |
| `skip_driver_check` | DRIVER |
"""

import os
from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.profilers import PassThroughProfiler


class NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's own does, but makes no context for each of two dozen calls in a step."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        """Return the same empty context for every action."""
        return self._nothing


class FastModule(LightningModule):
    """A LightningModule without work that training does not need."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the name of each hook that it calls, dozens in a step. `nn.Module` would check every time
        # whether that name is a parameter.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device that trains. On a CPU it is there already, so it is not searched for tensors."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)


def skip_driver_check() -> None:
    """Without a GPU, keep PyTorch from looking for a driver on the disk in every step of an optimizer.

    Lightning sets the variable that asks for this check.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
