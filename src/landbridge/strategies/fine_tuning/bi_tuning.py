"""Fine-tuning with a contrastive loss between classes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.optim.swa_utils import get_ema_multi_avg_fn

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.heads import require_linear
from landbridge.losses import bi_tuning
from landbridge.strategies.self_training.two_views import TwoViews
from landbridge.training.output import Output
from landbridge.training.processes import joined

KEYS = "target_keys"


class BiTuning(TwoViews):
    r"""Bi-Tuning (Zhong et al., 2020, arXiv:2011.06182).

    The loss is $\mathrm{CE}(g_t, y_t) + w\,[\mathcal L(\text{head}) + \mathcal L(\text{projector})]$. Two
    views of each sample are encoded. Both are changed as `augment` says; `strategy=bi_tuning` sets `augment=weak`. The
    network encodes the first view. A moving average of the network encodes the second view, which is called the key of
    the sample. A queue holds the last keys of every class. At the start the queues have random keys.

    $\mathcal L(\text{projector})$ compares projected features. It makes a sample similar to the keys of its own class,
    and dissimilar to all other keys. $\mathcal L(\text{head})$ compares features with the head's weights. It makes the
    weights of the sample's class similar to the sample and to the keys of this class, and dissimilar to all other keys.
    Both are `landbridge.losses.bi_tuning` of cosine similarities. The keys have no gradient. The contrastive losses
    have no gradient with respect to the head.

    Args:
        weight: weight of the contrastive losses, $w$.
        keys: number of keys in the queue of each class.
        decay: decay of the moving average.
        temperature: divisor of the cosine similarities.
        projection: output width of the projector.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors.
    """

    requirements: ClassVar = TwoViews.requirements.but(streams={"target"}, optional_streams=set())
    views: ClassVar = {"target": ("target", "augment"), KEYS: ("target", "augment")}
    queued_features: Tensor
    queued_projections: Tensor
    oldest: Tensor

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 1.0,
        keys: Annotated[int, Gt(0)] = 40,
        decay: Annotated[float, Ge(0), Lt(1)] = 0.999,
        temperature: Annotated[float, Gt(0)] = 0.07,
        projection: Annotated[int, Gt(0)] = 128,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.decay = decay
        self.temperature = temperature
        classes, features = require_linear(self.network.head, self).weight.shape
        self.projector = nn.Linear(features, projection)
        self.key_network = deepcopy(self.network).requires_grad_(False)
        self.key_projector = deepcopy(self.projector).requires_grad_(False)
        for name, width in (("queued_features", features + 1), ("queued_projections", projection)):
            self.register_buffer(name, normalize(torch.randn(classes, keys, width), dim=2))
        self.register_buffer("oldest", torch.zeros(classes, dtype=torch.long))
        self._fresh: tuple[Tensor, Tensor, Tensor]

    def on_train_start(self) -> None:
        """Forget the cached lists of modules of the key network too, because layers may have been replaced."""
        super().on_train_start()
        self.key_network.backbone.forget_modules()

    def train(self, mode: bool = True) -> "BiTuning":
        """Set the mode of all modules. The same stages of both networks stay in evaluation mode."""
        super().train(mode)
        if mode:
            self.trainable.apply(self.stages_now, self.key_network)
            self.key_network.requires_grad_(False)
        return self

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the moving average for keys, and the network for every other stream."""
        return self.key_network if name == KEYS else self.network

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode one view of the target with the network, and a second view as keys."""
        views = self.with_views(batch)
        with torch.no_grad():
            keys = self.encode(KEYS, views.pop(KEYS))
        return super().encode_streams(views) | {KEYS: keys}

    def loss(self, target: Output, target_keys: Output) -> dict[str, Tensor]:
        """Return the cross-entropy of the target, and the contrastive losses with the keys."""
        head = require_linear(self.network.head, self)
        y, classes = target.y, normalize(torch.cat([head.weight, head.bias.unsqueeze(1)], dim=1), dim=1).detach()
        features, key_features = (_with_one(stream.features) for stream in (target, target_keys))
        projections = normalize(self.projector(target.features), dim=1)
        key_projections = normalize(self.key_projector(target_keys.features), dim=1).detach()
        self._fresh = key_features, key_projections, y

        by_head = (self.queued_features @ classes.T).movedim(2, 0)[y]
        by_projector = torch.einsum("nd,ckd->nck", projections, self.queued_projections)
        contrast = self._contrast((features * classes[y]).sum(dim=1), by_head, y)
        contrast = contrast + self._contrast((projections * key_projections).sum(dim=1), by_projector, y)
        return {"supervised": self.supervised(target), "contrast": self.weight * contrast}

    def _contrast(self, own: Tensor, queue: Tensor, y: Tensor) -> Tensor:
        return bi_tuning(own, queue, y, self.temperature)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Put the batch's keys into the queues, and update the moving average.

        The keys of all processes are joined, so that all processes have the same queues.
        """
        fresh = self._fresh
        if self.data.processes > 1 and not self.gather:
            fresh = tuple(joined(each) for each in fresh)
        features, projections, y = fresh
        for queue, keys in ((self.queued_features, features), (self.queued_projections, projections)):
            queue.copy_(enqueued(queue, self.oldest, keys, y))
        counts = (y.unsqueeze(1) == torch.arange(len(self.oldest), device=y.device)).sum(dim=0)
        self.oldest.copy_((self.oldest + counts) % self.queued_features.shape[1])
        averages = [*self.key_network.parameters(), *self.key_projector.parameters()]
        weights = [*self.network.parameters(), *self.projector.parameters()]
        get_ema_multi_avg_fn(self.decay)(averages, weights, self.batches_seen)  # pyright: ignore[reportArgumentType]


def enqueued(queue: Tensor, oldest: Tensor, keys: Tensor, y: Tensor) -> Tensor:
    """Replace the oldest keys of each class by new keys.

    Args:
        queue: (classes, k, d).
        oldest: position of each class's oldest key (classes,).
        keys: new keys, the newest last (n, d).
        y: classes of the new keys (n,).

    Returns:
        The new queue. If a class has more than k new keys, the queue has the last k of them.
    """
    classes, k, d = queue.shape
    of_class = (y.unsqueeze(1) == torch.arange(classes, device=y.device)).long()
    rank = of_class.cumsum(dim=0).gather(1, y.unsqueeze(1)).squeeze(1) - 1
    place = y * k + (oldest[y] + rank) % k
    # A key that a later key of the same batch would replace is written to an extra row, which is then dropped. This
    # keeps all shapes fixed, so that the CPU never waits for a count from the GPU.
    place = torch.where(rank >= of_class.sum(dim=0)[y] - k, place, classes * k)
    rows = torch.cat([queue.reshape(classes * k, d), queue.new_zeros(1, d)])
    return rows.index_copy(0, place, keys.to(rows.dtype))[:-1].view(classes, k, d)


def _with_one(features: Tensor) -> Tensor:
    """Append a 1 to each feature, as the input of the bias, and normalise the result (n, d + 1)."""
    return normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)
