"""Two synthetic domains with a known shift, and small backbones and optimizers for tests."""

import hashlib
import os
import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Len
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from landbridge.data.domain import Domain, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.small import GREY_28
from landbridge.models.network import Network

CLASSES = ("bar", "beam", "cross")


def dusk(
    name: str, shift: float = 0.0, n: int = 60, seed: int = 0, classes: Annotated[Sequence[str], Len(3, 3)] = CLASSES
) -> Domain:
    """Make grey images of a bar, a beam or a cross.

    The images are darkened by the share `shift`, and the noise grows with `shift` too. Classes alternate, so each class
    has a third of every split. The splits hold 60 % (train), 20 % (val) and 20 % (test) of the samples.
    """
    inputs, labels, _ = drawn(name, shift, n, seed)
    return domain_from_positions(name, tuple(classes), inputs, labels, split_in_order(n))


def drawn(name: str, shift: float, n: int, seed: int) -> tuple[TensorInputs, torch.Tensor, torch.Tensor]:
    """Return the images, their classes (n,), and row and column of the strokes (n, 2)."""
    rng = np.random.default_rng([seed, *name.encode()])
    labels = np.arange(n) % len(CLASSES)
    images = np.zeros((n, 1, 28, 28))
    places = rng.integers(9, 15, (2, n))
    for image, label, row, column in zip(images, labels, *places, strict=True):
        if label != 1:
            image[0, row : row + 3, 2:26] = 200
        if label != 0:
            image[0, 2:26, column : column + 3] = 200
    images = images * (1 - shift) + rng.uniform(0, 20 + 100 * shift, images.shape)
    inputs = TensorInputs(torch.from_numpy(images.round().astype(np.uint8)))
    return inputs, torch.from_numpy(labels), torch.from_numpy(places.T.copy())


def split_in_order(n: int) -> dict[str, torch.Tensor]:
    """Return positions: the first 60 % for `train`, then 20 % for `val` and 20 % for `test`."""
    return dict(zip(("train", "val", "test"), torch.arange(n).tensor_split([n * 3 // 5, n * 4 // 5]), strict=True))


def lying(
    name: str,
    budget: Annotated[int, Ge(0)] | Literal["all"] = 0,
    seed: int = 0,
    splits: tuple[str, ...] = ("train", "val", "test"),
    **domain: float,
) -> Domain:
    """Make the same domain, but with a wrong value for every label that `budget` and the run's `seed` hide."""
    return with_wrong_labels(dusk(name, **domain), budget, seed, splits)


def with_wrong_labels(
    honest: Domain,
    budget: Annotated[int, Ge(0)] | Literal["all"] = 0,
    seed: int = 0,
    splits: tuple[str, ...] = ("train", "val", "test"),
) -> Domain:
    """Return a domain of classes with a wrong value for every label that `budget` and the run's `seed` hide."""
    rng = torch.Generator().manual_seed(1)

    def lie(split: str) -> Labels:
        labels, classes = honest.splits[split].labels, len(honest.classes)
        truth = labels.open("to make wrong labels")
        wrong = (truth + torch.randint(1, classes, truth.shape, generator=rng)) % classes
        if split == "test":  # no budget shows test labels
            return Labels(wrong, honest.task, labels.where)
        shown = labels.visible(budget, seed)
        # With a budget, a sample with a wrong class could become a visible sample of that class. -2 is not a class.
        return Labels(torch.where(shown >= 0, shown, -2 if budget else wrong), honest.task, labels.where)

    changed = {split: replace(honest.splits[split], labels=lie(split)) for split in splits}
    return Domain(honest.name, honest.task, {**honest.splits, **changed}, honest.image_kind)


class DuskNet(SequentialBackbone):
    """A convolution with BatchNorm, a dropout, and a bottleneck with BatchNorm: hard to resume exactly."""

    def __init__(self, dropout: float = 0.3) -> None:
        conv = nn.Sequential(nn.Conv2d(1, 4, 5, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout))
        bottleneck = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
        super().__init__({"conv": conv, "bottleneck": bottleneck}, GREY_28, 8)


class PlainNet(SequentialBackbone):
    """A network without BatchNorm and dropout: outputs depend neither on other samples nor on random numbers."""

    def __init__(self) -> None:
        conv = nn.Sequential(nn.Conv2d(1, 4, 5, 4), nn.ReLU())
        bottleneck = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 8), nn.ReLU())
        super().__init__({"conv": conv, "bottleneck": bottleneck}, GREY_28, 8)


class Dice(torch.optim.SGD):
    """SGD that appends a random number after each step to `dice-RANK.txt`, one file per process."""

    def step(self, closure=None):
        loss = super().step(closure)
        with Path(f"dice-{os.environ.get('LOCAL_RANK', '0')}.txt").open("a") as file:
            file.write(f"{torch.rand(())}\n")
        return loss


class Witness(torch.optim.Adam):
    """Adam that appends a hash of its parameters after each step to `weights-RANK.txt`, one file per process."""

    def step(self, closure=None):
        loss = super().step(closure)
        content = b"".join(p.detach().numpy().tobytes() for group in self.param_groups for p in group["params"])
        with Path(f"weights-{os.environ.get('LOCAL_RANK', '0')}.txt").open("a") as file:
            file.write(hashlib.sha256(content).hexdigest() + "\n")
        return loss


def assert_exact_statistics(state: dict[str, torch.Tensor]) -> None:
    """Compare the BatchNorm statistics with the layers' inputs for the whole training split of the target.

    Args:
        state: state of a strategy with a `DuskNet`.
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
    """An optimizer that fails with a message about its GPU and its threads."""

    def step(self, closure=None):
        threads = f"{torch.get_num_threads()} {os.environ['OMP_NUM_THREADS']}"
        raise RuntimeError(f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}, threads {threads}")


class FullDisk(torch.optim.Adam):
    """Adam that limits every file to 4 KiB, like a full disk."""

    def step(self, closure=None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        return super().step(closure)


class ShardedOnCPU(FSDPStrategy):
    """FSDP on CPUs. Lightning refuses its own class `FSDPStrategy` on CPUs, and torch needs an explicit device."""

    def _setup_model(self, model):
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)
