"""Says in one sentence that the memory of the device is not enough, and what takes less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from landbridge.config.reasons import ALLOCATION, reason_of
from landbridge.errors import LandbridgeError

#: Settings that take less memory.
LESS = (
    "set a smaller data.batch_size (trainer.accumulate_grad_batches keeps the samples of an optimizer step), "
    "trainer.precision=bf16-mixed, more frozen stages (freeze.depth), or a smaller backbone"
)


@contextmanager
def enough_memory(cfg: DictConfig) -> Iterator[None]:
    """Turn torch's error about missing memory into one sentence.

    Args:
        cfg: the checked configuration.

    Raises:
        LandbridgeError: names the batch size, and settings that take less memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or ALLOCATION.search(str(error))):
            raise
        size = cfg.data.get("batch_size", "default")
        said = reason_of(error).partition(". ")[0].removeprefix("CUDA out of memory").strip(" .")
        why = f" ({said})" if said else ""
        raise LandbridgeError(f"data.batch_size={size}: the memory is not enough{why}: {LESS}") from error
