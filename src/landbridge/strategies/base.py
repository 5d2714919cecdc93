"""The base of all strategies: it encodes streams, and sums and logs the terms of a loss."""

import operator
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.network import Network
from landbridge.strategies.output import Output
from landbridge.strategies.processes import gathered, mean_over_processes
from landbridge.strategies.terms import TERMS, start_for
from landbridge.strategies.terms import needs as needs_of_terms
from landbridge.strategies.trainable import Trainable

# Looking at a loss makes a GPU wait, so training looks once in so many steps.
STEPS_BETWEEN_CHECKS = 50


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Add up the terms of a loss, of which there is at least one."""
    return reduce(operator.add, terms.values())


class Strategy(Trainable):
    """A way of carrying knowledge over: the streams it needs, and its loss.

    All that a strategy learns lies in parameters and buffers, so that it resumes and runs in processes side by side.

    Args:
        network: backbone and head.
        terms: weights of terms that are added to the loss, by name; see `landbridge.strategies.terms`.
        gather: whether several processes compute the loss on the outputs of all of them, so that what compares samples
            with one another (an alignment, a class balance) sees the global batch; otherwise each sees its own part.
        **trainable: see `Trainable`.
    """

    #: Streams without which the strategy cannot train, and streams that it uses where the setting provides them.
    needs: ClassVar[frozenset[str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    #: Whether it changes its weights while testing, and therefore needs gradients there.
    adapts_at_test: ClassVar[bool] = False
    #: Whether it is trained at all before it is tested.
    trains: ClassVar[bool] = True
    #: Whether an average over its steps or epochs can stand for its weights: not where it sets them itself.
    averages: ClassVar[bool] = True
    #: Whether it continues a source model, head included, and can therefore not start from scratch.
    continues_source: ClassVar[bool] = False
    #: What trains the source model where `start=source` makes one, on the source in the target's place.
    source_strategy: ClassVar[str] = "landbridge.strategies.TargetOnly"
    #: Whether training reads the inputs themselves, so that what frozen stages make of them cannot take their place.
    reads_inputs: ClassVar[bool] = False
    #: Whether it sets all weights anew, those of frozen stages too.
    replaces_weights: ClassVar[bool] = False
    #: Config groups that have no effect on it: runs that differ in nothing else are one and the same.
    ignores: ClassVar[frozenset[str]] = frozenset()
    #: Names of the selection rules that score the very quantity its loss optimises, and therefore flatter it.
    optimises: ClassVar[frozenset[str]] = frozenset()

    #: How test samples arrive, for a strategy that adapts to them as they come: how many at a time, and the seed of
    #: their random order. None: as many as the data says, and as the split holds them.
    test_batch_size: int | None = None
    test_order_seed: int | None = None

    weights_at_start: Tensor | None

    def __init__(self, network: Network, terms: Mapping[str, float], gather: bool = False, **trainable: Any) -> None:
        super().__init__(network=network, **trainable)
        self.terms = dict(terms)
        self.gather = gather
        # In the checkpoint, so that a resumed run is pulled towards the same weights.
        self.register_buffer("weights_at_start", start_for(terms, network.backbone))
        self._totals: dict[str, Tensor] = {}
        self._batches_in_totals = 0
        self.epoch_losses: dict[str, float] = {}
        #: What else the record says of an epoch.
        self.note: dict[str, Any] = {}

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return fingerprints of the files that its settings name, by what they are."""
        return {}

    @abstractmethod
    def loss(self, *args: Any, **streams: Any) -> dict[str, Tensor]:
        """Return the terms of the loss, each a scalar; their sum is minimised.

        Args:
            *args: none; subclasses name the streams they take.
            **streams: the `Output` of each stream in `needs`, and of those in `optional` that the setting provides.
        """

    def inherit(self, beside: Mapping[str, Tensor]) -> None:
        """Take over what a source model's strategy has kept beside its network, by name."""

    def classify(self, *labelled: Output | None) -> Tensor:
        """Cross-entropy of labelled streams, each stream's mean counted once."""
        return reduce(operator.add, (cross_entropy(stream.logits, stream.y) for stream in labelled if stream))

    def encode(self, name: str, batch: Batch) -> Output:
        """Run one stream's batch through the network on its own, so that batch statistics stay per stream.

        Raises:
            LandbridgeError: a batch of one sample meets a BatchNorm that trains and needs more.
        """
        spec = self.network.backbone.spec
        inputs = batch["x"]
        if isinstance(inputs, Tensor):
            # Images are rendered on the device that trains: bytes travel, floats do not.
            inputs = (spec.render(inputs) if spec else inputs).to(self.dtype)
        try:
            features, logits = self.network_for(name)(inputs)
        except ValueError as error:
            if len(inputs) > 1:
                raise
            message = f"a batch of one sample ({name}) has no statistics for BatchNorm: raise data.batch_size"
            raise LandbridgeError(message) from error
        # Under mixed precision outputs come in half, and losses want them in full.
        return Output(name, features.to(self.dtype), logits.to(self.dtype), batch["index"], batch.get("y"))

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network that encodes a stream: for all the same, unless a strategy keeps a second one.

        In the stages that are frozen it must be the same as well.
        """
        return self.network

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream of a batch. A strategy that learns from augmented views adds them under new names."""
        return {name: self.encode(name, stream) for name, stream in batch.items()}

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Encode every stream, and sum the terms of the loss. A strategy that alternates steps overrides this."""
        terms = self.loss_terms(self.encode_streams(batch))
        self.count_step(terms)
        return total(terms)

    def loss_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the terms of the strategy's own loss and the configured ones beside it."""
        if self.gather:
            outputs = {name: gathered(output, self) for name, output in outputs.items()}
        # Distances and covariances cancel: they are computed in full precision whatever the network's is.
        with torch.autocast(self.device.type, enabled=False):
            foreign = needs_of_terms(self.terms) - self.needs - self.optional
            own = {name: output for name, output in outputs.items() if name not in foreign}
            return self.loss(**own) | self.added_terms(outputs)

    def added_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the configured terms beside the strategy's own loss, each with its weight."""
        given = (outputs, self.network.backbone, self.weights_at_start)
        return {f"+{name}": weight * TERMS[name].value(*given) for name, weight in self.terms.items()}

    def count_step(self, terms: Mapping[str, Tensor]) -> None:
        """Note the terms of a finished step, and count it as one batch, however many optimizers moved in it."""
        self.batches_seen += 1
        # Sums stay on the device; Lightning's `log` would cost more than a small network's forward pass.
        for name, value in terms.items():
            value = value.detach()
            self._totals[name] = self._totals[name] + value if name in self._totals else value
        self._batches_in_totals += 1
        if self.batches_seen % STEPS_BETWEEN_CHECKS == 0:
            self._require_finite(mean_over_processes(self._totals, self))

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of validation inputs; selection rules read the outputs."""
        return self.encode(batch["stream"], batch)

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of test inputs."""
        return self.encode(batch["stream"], batch)

    @torch.no_grad()
    def collect(self, name: str) -> Output:
        """Encode a whole training stream in the order of its samples, in evaluation mode."""
        self.eval()
        batches = self.data.in_order(name)
        outputs = [self.encode(name, self.transfer_batch_to_device(batch, self.device, 0)) for batch in batches]
        self.train()
        fields = ("features", "logits", "index", *(["y"] if self.data.streams[name].labels is not None else []))
        return Output(name, *(torch.cat([getattr(each, field) for each in outputs]) for field in fields))

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean of each term."""
        totals = mean_over_processes(self._totals, self)
        self._require_finite(totals)
        self.epoch_losses = {name: float(value) / self._batches_in_totals for name, value in totals.items()}
        self.log_dict({f"train/{name}": value for name, value in self.epoch_losses.items()})
        self._totals, self._batches_in_totals = {}, 0

    def _require_finite(self, totals: Mapping[str, Tensor]) -> None:
        broken = [name for name, value in totals.items() if not torch.isfinite(value)]
        if broken:
            terms = f"the loss terms {' and '.join(broken)} are" if len(broken) > 1 else f"the loss term {broken[0]} is"
            raise LandbridgeError(
                f"training diverged by step {self.batches_seen}: {terms} not finite in {type(self).__name__}; "
                "a lower optimizer.lr may help"
            )
