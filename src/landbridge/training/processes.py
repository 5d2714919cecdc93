"""Tensors and means over several processes that train in parallel."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from landbridge.training.output import Output


def joined(own: Tensor) -> Tensor:
    r"""Join a tensor (b, ...) of each of n processes to (n b, ...), in the order of the global batch that they share.

    Every process may then compute the same loss $L$ of all rows. Gradients reach only the rows of the process itself,
    multiplied by n: $n\,\partial L / \partial z_r$. The processes average their gradients. The average is $\sum_r
    \partial L / \partial z_r \cdot \partial z_r / \partial \theta$. This is the gradient that a single process would
    compute from the global batch. Parameters of the loss itself, such as those of a domain discriminator, have the same
    gradient in every process, and averaging does not change it.
    """
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    parts = [torch.empty_like(own) for _ in range(world)]
    torch.distributed.all_gather(parts, own.detach().contiguous())
    if own.requires_grad:
        parts[rank] = own.clone()
        parts[rank].register_hook(lambda gradient: world * gradient)
    return torch.cat(parts)


def gathered(output: Output, module: LightningModule) -> Output:
    """Join the outputs of one stream from all processes. A single process gets its own output back.

    All processes must have the same number of samples.

    Args:
        output: the output of this process.
        module: the module that trains.
    """
    if module.trainer.world_size == 1:
        return output
    return replace(output, **{name: joined(own) for name, own in output.tensors.items()})


def mean_over_processes(values: Mapping[str, Tensor], module: LightningModule) -> dict[str, Tensor]:
    """Return the mean of each scalar over all processes, so that all processes have the same values.

    Args:
        values: the scalars of this process by name. All processes have the same names.
        module: the module that trains.
    """
    if module.trainer.world_size == 1:
        return dict(values)
    # `reduce` changes its argument in place, so it gets copies.
    return {
        name: module.trainer.strategy.reduce(value.clone().to(module.device), reduce_op="mean")
        for name, value in values.items()
    }
