"""What training may see of a transfer, as one value: inputs, and those labels that the setting shows."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from torch import Tensor

from landbridge.data.activations import CachedActivations, CachedViews
from landbridge.data.augment import VIEWS, Views
from landbridge.data.domain import Domain
from landbridge.data.formats import Format
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream, labelled
from landbridge.errors import LandbridgeError
from landbridge.tasks import LabelBudget, Task


def nothing_cached(inputs: Inputs) -> None:
    """Look up cached activations where there is no cache."""
    return


@dataclass(frozen=True)
class TransferStreams:
    """The streams of one transfer. No label beyond the budget is in it, and no domain.

    Attributes:
        training: the training streams by name.
        validation: the validation inputs by role, `source` or `target`, without labels.
        validation_labels: labels of the validation samples by role (n, ...), with those hidden that the setting hides.
        augmentations: how images of each training stream can be augmented.
        task: of the target.
        target_labels: how many target labels may be seen.
        target_size: samples in the target's training split.
        seed: of the order of samples and of the choice of labelled ones.
        format: what the backbone wants.
        cached_views: by training stream, activations of random views that are read instead of the stream.
        cached: looks up activations of any inputs; None where there are none.
    """

    training: Mapping[str, Stream]
    validation: Mapping[str, Stream]
    validation_labels: Mapping[str, Tensor]
    augmentations: Mapping[str, Views]
    task: Task
    target_labels: LabelBudget
    target_size: int
    seed: int
    format: Format
    cached_views: Mapping[str, CachedViews] = field(default_factory=dict)
    cached: Callable[[Inputs], CachedActivations | None] = nothing_cached

    @classmethod
    def of(
        cls,
        source: Domain | None,
        target: Domain,
        names: Set[str],
        target_labels: LabelBudget,
        format: Format,
        seed: int,
    ) -> "TransferStreams":
        """Build the streams of a setting.

        Args:
            source: the source domain; None where no stream needs it.
            target: the target domain.
            names: of the training streams to build.
            target_labels: how many target labels may be seen: 0, a number per class, or `all`. It holds for the
                training split and, as far as that has so many, for the validation split.
            format: what the backbone wants.
            seed: of the order of samples and of the choice of labelled ones.

        Raises:
            LandbridgeError: a class has fewer samples than labels are asked for, or images meet a backbone for vectors
                (or the reverse).
        """
        domains = {"source": source, "target": target} if source else {"target": target}
        for domain in domains.values():
            _require_kind(domain, format)
        train = {role: domain.splits["train"] for role, domain in domains.items()}
        val = {role: domain.splits["val"] for role, domain in domains.items()}
        budget: dict[str, LabelBudget] = {"source": "all", "target": target_labels}

        def stream(name: str) -> Stream:
            if name == "target_unlabelled":
                return Stream(train["target"].inputs, format)
            return labelled(train[name].inputs, format, train[name].labels.visible(budget[name], seed))

        return cls(
            training={name: stream(name) for name in sorted(names)},
            validation={role: Stream(split.inputs, format) for role, split in val.items()},
            validation_labels={
                role: split.labels.visible(budget[role], seed, at_most=True) for role, split in val.items()
            },
            augmentations={name: VIEWS[domains[name.removesuffix("_unlabelled")].image_kind] for name in names},
            task=target.task,
            target_labels=target_labels,
            target_size=len(train["target"].inputs),
            seed=seed,
            format=format,
        )


def _require_kind(domain: Domain, format: Format) -> None:
    if domain.modality != format.kind:
        raise LandbridgeError(
            f"the backbone takes {format.kind} inputs, but domain {domain.name} holds {domain.modality}s"
        )
