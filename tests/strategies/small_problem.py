"""A strategy with a tiny network, its batches, and checks of its gradients, for tests of single methods."""

from collections.abc import Mapping
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from landbridge.cli.config_sources import conf_folder
from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.heads import Linear as LinearHead
from landbridge.models.backbones.small import MLP
from landbridge.models.network import Network
from landbridge.strategies import Output, Strategy
from landbridge.strategies.terms import build_terms
from landbridge.training.freezing import Depth
from landbridge.training.schedules import Constant

CLASSES = 3
STEPS = 100


def make(method: Any, progress: float = 0.0, terms: Any = None, head: Any = LinearHead, **settings: Any) -> Any:
    """Build a strategy with a small network, as if a share of its training were over. The network is always the same.

    Args:
        method: its class.
        progress: the share, in [0, 1].
        terms: auxiliary losses, as in a configuration.
        head: makes the head of the network.
        **settings: of the strategy.
    """
    torch.manual_seed(0)
    strategy = method(
        network=Network(MLP(shape=(5,), widths=(7, 6)), CLASSES, head),
        freeze=Depth(),
        optimizer=torch.optim.SGD,
        schedule=Constant(),
        steps=STEPS,
        terms=build_terms(terms),
        **settings,
    )
    strategy.batches_seen = round(progress * STEPS)
    return strategy


def of_term(name: str, progress: float = 0.0, terms: Any = None, **settings: Any) -> Any:
    """Build the strategy of a file in `conf/strategy/` that adds one term to supervised training.

    Args:
        name: of the file.
        progress: see `make`.
        terms: further auxiliary losses.
        **settings: of the term, in the place of the file's.
    """
    node: Any = OmegaConf.to_container(OmegaConf.load(conf_folder() / "strategy" / f"{name}.yaml"))
    ((term, own),) = node.pop("terms").items()
    method = get_class(node.pop("_target_"))
    strategy = make(method, progress, {term: {**own, **settings}}, **node)
    strategy.terms |= build_terms(terms)
    return strategy


def batches(n: int = 24, m: int | None = None, seed: int = 1, labels: int = 0) -> dict[str, Batch]:
    """Draw a source batch of n, a shifted target batch of m, and, optionally, a batch of labelled target samples."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, 5, generator=generator)

    def draw(size: int, shift: float, labelled: bool) -> Batch:
        y = torch.arange(size) % CLASSES
        x = centres[y] + shift + 0.5 * torch.randn(size, 5, generator=generator)
        return {"x": Activation(0, (x,)), "index": torch.arange(size)} | ({"y": y} if labelled else {})

    drawn = {"source": draw(n, 0.0, True), "target_unlabelled": draw(n if m is None else m, 1.0, False)}
    return drawn | ({"target": draw(labels, 1.0, True)} if labels else {})


def output(name: str, features: Tensor, logits: Tensor | None = None, y: Tensor | None = None) -> Output:
    """Build the `Output` of a stream from tensors."""
    logits = torch.zeros(len(features), CLASSES, dtype=features.dtype) if logits is None else logits
    return Output(name, features, logits, torch.arange(len(features)), y)


def loss(strategy: Strategy, data: Mapping[str, Batch]) -> dict[str, Tensor]:
    """Compute the losses of a strategy. The names of auxiliary losses begin with a plus sign."""
    return strategy.loss_terms({name: strategy.encode(name, batch) for name, batch in data.items()})


def loss_of(strategy: Strategy, *outputs: Output) -> dict[str, Tensor]:
    """Compute the losses of given outputs."""
    return strategy.loss_terms({each.stream: each for each in outputs})


def gradients(strategy: Strategy, term: Tensor) -> dict[str, Tensor]:
    """Return the gradients that are not zero everywhere, by parameter."""
    named = {name: parameter for name, parameter in strategy.named_parameters() if parameter.requires_grad}
    grads = torch.autograd.grad(term, list(named.values()), allow_unused=True, retain_graph=True)
    return {name: grad for name, grad in zip(named, grads, strict=True) if grad is not None and bool(grad.any())}


def parts(strategy: Strategy, term: Tensor) -> set[str]:
    """Return the parts that a term trains: `backbone`, `head`, and parts of the strategy, such as `discriminator`."""
    return {name.removeprefix("network.").split(".")[0] for name in gradients(strategy, term)}


def falls(strategy: Strategy, data: Mapping[str, Batch], name: str, seed: int = 0) -> bool:
    """Return whether a very small step against a term's gradient reduces the term."""
    torch.manual_seed(seed)
    before = loss(strategy, data)[name]
    with torch.no_grad():
        for parameter, grad in gradients(strategy, before).items():
            strategy.get_parameter(parameter).sub_(1e-3 * grad / grad.norm())
    torch.manual_seed(seed)
    return bool(loss(strategy, data)[name] < before)
