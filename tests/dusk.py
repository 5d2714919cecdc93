"""Two synthetic domains with a known shift between them, and a small backbone with all that is hard to repeat."""

import hashlib
import os
import resource
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from landbridge.data.domain import Domain, Split, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.small import GREY_28
from landbridge.models.network import Network

CLASSES = ("bar", "beam", "cross")


def dusk(name: str, shift: float = 0.0, n: int = 60, seed: int = 0) -> Domain:
    """Make grey images of a bar, a beam or a cross: dimmed by the share `shift`, with noise of the same scale.

    Classes alternate, so each has a third of every split: 60 % of the samples train, 20 % validate, 20 % test.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    labels = np.arange(n) % len(CLASSES)
    images = np.zeros((n, 1, 28, 28))
    for image, label, row, column in zip(images, labels, *rng.integers(9, 15, (2, n)), strict=True):
        if label != 1:
            image[0, row : row + 3, 2:26] = 200
        if label != 0:
            image[0, 2:26, column : column + 3] = 200
    images = images * (1 - shift) + rng.uniform(0, 20 + 100 * shift, images.shape)
    inputs = TensorInputs(torch.from_numpy(images.round().astype(np.uint8)))
    positions = dict(zip(("train", "val", "test"), torch.arange(n).tensor_split([n * 3 // 5, n * 4 // 5]), strict=True))
    return domain_from_positions(name, CLASSES, inputs, torch.from_numpy(labels), positions)


def lying(
    name: str,
    budget: Annotated[int, Ge(0)] | Literal["all"] = 0,
    seed: int = 0,
    splits: tuple[str, ...] = ("train", "val", "test"),
    **domain: float,
) -> Domain:
    """Make the same domain with garbage in place of every label that `budget` and the run's `seed` hide."""
    honest = dusk(name, **domain)
    rng = torch.Generator().manual_seed(1)

    def lie(split: str) -> Labels:
        labels = honest.splits[split].labels
        truth = labels.open("to lie about it")
        wrong = (truth + torch.randint(1, len(CLASSES), truth.shape, generator=rng)) % len(CLASSES)
        if split == "test":  # no budget pays for these
            return Labels(wrong, CLASSES, labels.where)
        shown = labels.visible(budget, seed)
        # A wrong class could be taken for one of the visible samples of that class; what is no class cannot.
        return Labels(torch.where(shown >= 0, shown, -2 if budget else wrong), CLASSES, labels.where)

    changed = {split: Split(honest.splits[split].inputs, lie(split)) for split in splits}
    return Domain(name, CLASSES, {**honest.splits, **changed})


class DuskNet(SequentialBackbone):
    """A convolution with BatchNorm, a dropout, and a bottleneck with BatchNorm."""

    def __init__(self, dropout: float = 0.3) -> None:
        conv = nn.Sequential(nn.Conv2d(1, 4, 5, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout))
        bottleneck = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
        super().__init__({"conv": conv, "bottleneck": bottleneck}, GREY_28, 8)


class PlainNet(SequentialBackbone):
    """A network in which no sample's outputs depend on others, nor on chance: neither BatchNorm nor dropout."""

    def __init__(self) -> None:
        conv = nn.Sequential(nn.Conv2d(1, 4, 5, 4), nn.ReLU())
        bottleneck = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 8), nn.ReLU())
        super().__init__({"conv": conv, "bottleneck": bottleneck}, GREY_28, 8)


class Dice(torch.optim.SGD):
    """SGD that appends a random number after each step to `dice-RANK.txt`, one file a process."""

    def step(self, closure=None):
        loss = super().step(closure)
        with Path(f"dice-{os.environ.get('LOCAL_RANK', '0')}.txt").open("a") as file:
            file.write(f"{torch.rand(())}\n")
        return loss


class Witness(torch.optim.Adam):
    """Adam that appends a hash of its parameters after each step to `weights-RANK.txt`, one file a process."""

    def step(self, closure=None):
        loss = super().step(closure)
        content = b"".join(p.detach().numpy().tobytes() for group in self.param_groups for p in group["params"])
        with Path(f"weights-{os.environ.get('LOCAL_RANK', '0')}.txt").open("a") as file:
            file.write(hashlib.sha256(content).hexdigest() + "\n")
        return loss


def assert_exact_statistics(state: dict[str, torch.Tensor]) -> None:
    """Feed the whole training split of the target at once, and compare BatchNorm's statistics with what comes in.

    Args:
        state: of a strategy around a `DuskNet`.
    """
    network = Network(DuskNet(), 3).eval()
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    )
    inputs = {}
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda layer, given: inputs.update({layer: given[0]}))
    raw = dusk("dusk", shift=0.5).splits["train"].inputs.tensor
    with torch.no_grad():
        network(network.backbone.format.normalised(raw))
    assert len(inputs) == 2
    for layer, x in inputs.items():
        dims = [d for d in range(x.ndim) if d != 1]
        torch.testing.assert_close(layer.running_mean, x.mean(dims), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(layer.running_var, x.var(dims, unbiased=True), atol=1e-5, rtol=1e-5)


class Place(torch.optim.Adam):
    """An optimizer that fails and says where it runs."""

    def step(self, closure=None):
        threads = f"{torch.get_num_threads()} {os.environ['OMP_NUM_THREADS']}"
        raise RuntimeError(f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}, threads {threads}")


class FullDisk(torch.optim.Adam):
    """Adam on a disk that has no room for more than 4 KiB a file."""

    def step(self, closure=None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        return super().step(closure)


class ShardedOnCPU(FSDPStrategy):
    """FSDP as Lightning has it for GPUs: it refuses CPUs by the name of the class, and torch unless it is told."""

    def _setup_model(self, model):
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)
