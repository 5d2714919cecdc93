"""What several processes that train side by side know together."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from landbridge.training.output import Output


def joined(own: Tensor) -> Tensor:
    r"""Join a tensor (b, ...) of each of n processes to (n b, ...), in the order of the global batch that they share.

    Every process may then compute the same loss $L$ of all rows. Gradients reach a process's own rows only, n-fold:
    $n\,\partial L / \partial z_r$. The mean that processes take of their gradients leaves $\sum_r \partial L / \partial
    z_r \cdot \partial z_r / \partial \theta$, what one process computes of the global batch. Parameters of the loss
    itself, such as those of a domain discriminator, have the same gradient everywhere, and the mean leaves it as it is.
    """
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    parts = [torch.empty_like(own) for _ in range(world)]
    torch.distributed.all_gather(parts, own.detach().contiguous())
    if own.requires_grad:
        parts[rank] = own.clone()
        parts[rank].register_hook(lambda gradient: world * gradient)
    return torch.cat(parts)


def gathered(output: Output, module: LightningModule) -> Output:
    """Join a stream's outputs of all processes, which have as many samples each; a single process keeps its own.

    Args:
        output: of this process.
        module: trains.
    """
    if module.trainer.world_size == 1:
        return output
    fields = ("features", "logits", "index", *(() if output._y is None else ("_y",)))
    return replace(output, **{name: joined(getattr(output, name)) for name in fields})


def mean_over_processes(values: Mapping[str, Tensor], module: LightningModule) -> dict[str, Tensor]:
    """Return the mean of each scalar over all processes, so that every one of them sees the same.

    Args:
        values: of this process; all have the same names.
        module: trains.
    """
    if module.trainer.world_size == 1:
        return dict(values)
    # On copies, since what is reduced changes in its place.
    return {
        name: module.trainer.strategy.reduce(value.clone().to(module.device), reduce_op="mean")
        for name, value in values.items()
    }
