"""The streams of a transfer as one value: inputs, and only those labels that the setting shows."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace

from torch import Tensor

from landbridge.data.activations import CachedActivations, CachedViews
from landbridge.data.augment import VIEWS, ImageKind, Views
from landbridge.data.augment_policies import Augment, Change
from landbridge.data.domain import Domain
from landbridge.data.formats import Format
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream, labelled
from landbridge.errors import LandbridgeError
from landbridge.tasks import LabelBudget, Task, TaskSettings, classes_of


def nothing_cached(inputs: Inputs) -> None:
    """Return None for all inputs, because there is no cache."""
    return


@dataclass(frozen=True)
class TransferStreams:
    """The streams of one transfer. They contain no label beyond the budget, and no domain.

    Attributes:
        training: the training streams by name.
        validation: the validation inputs by role, `source` or `target`, without labels.
        validation_labels: labels of the validation samples by role (n, ...); the hidden ones are -1 or nan.
        augmentations: the weak and the strong augmentation of each training stream.
        augment: how training changes the images of labelled streams; None: it does not.
        changes: by labelled training stream, the change of each of its images.
        task: task of the target.
        source_task: task of the source, if it has a head of its own.
        target_labels: number of target labels that training may read: 0, a number per class, or `all`.
        target_size: number of samples in the target's training split.
        seed: seed of the order of samples and of the choice of labelled samples.
        format: input format of the backbone.
        cached_views: by training stream, cached activations of random views that are read in place of the samples.
        cached: returns the cached activations of given inputs, or None if there are none.
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
    source_task: Task | None = None
    augment: Augment | None = None
    changes: Mapping[str, Change] = field(default_factory=dict)
    cached_views: Mapping[str, CachedViews] = field(default_factory=dict)
    cached: Callable[[Inputs], CachedActivations | None] = nothing_cached

    @property
    def labelled(self) -> list[str]:
        """The names of the training streams that have labels."""
        return [name for name, stream in self.training.items() if stream.labels is not None]

    @classmethod
    def of(
        cls,
        source: Domain | None,
        target: Domain,
        names: Set[str],
        target_labels: LabelBudget,
        format: Format,
        seed: int,
        source_task: Task | None = None,
        settings: TaskSettings | None = None,
        augment: Augment | None = None,
    ) -> "TransferStreams":
        """Build the streams of a setting.

        Args:
            source: the source domain; None if no stream needs it.
            target: the target domain.
            names: names of the training streams to build.
            target_labels: number of target labels that training may read: 0, a number per class, or `all`. The same
                number holds for the validation split, where a class with fewer samples shows all of them.
            format: input format of the backbone.
            seed: seed of the order of samples and of the choice of labelled samples.
            source_task: task of the source, if it has a head of its own.
            settings: the weights of labelled samples; None if all count alike.
            augment: how training changes the images of labelled streams; None: it does not.

        Raises:
            LandbridgeError: a class has fewer training samples than `target_labels`, a domain holds images and the
                backbone takes vectors (or the reverse), or images cannot be augmented in this way.
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
            visible = labelled(train[name].inputs, format, train[name].labels.visible(budget[name], seed))
            assert visible.labels is not None
            task = source_task if name == "source" and source_task else target.task
            weights = settings.weights(task, visible.labels, name) if settings else None
            return replace(visible, weights=weights)

        kinds: dict[str, ImageKind] = {
            name: domains[name.removesuffix("_unlabelled")].image_kind for name in sorted(names)
        }
        changes = {name: augment.change(kind) for name, kind in kinds.items() if name in budget} if augment else {}
        return cls(
            training={name: stream(name) for name in sorted(names)},
            validation={role: Stream(split.inputs, format) for role, split in val.items()},
            validation_labels={
                role: split.labels.visible(budget[role], seed, at_most=True) for role, split in val.items()
            },
            augmentations={name: VIEWS[kind] for name, kind in kinds.items()},
            augment=augment,
            changes={name: change for name, change in changes.items() if change},
            task=target.task,
            source_task=source_task,
            target_labels=target_labels,
            target_size=len(train["target"].inputs),
            seed=seed,
            format=format,
        )

    def task_of(self, name: str) -> Task:
        """Return the task of a labelled stream."""
        return self.source_task if name == "source" and self.source_task else self.task

    def classes(self) -> dict[str, Tensor]:
        """Return the class of each sample (n,) of every labelled training stream, for balanced sampling.

        Raises:
            LandbridgeError: the samples do not have one class each.
        """
        return {
            name: classes_of(self.task_of(name), stream.labels, "data.sampler=balanced", name)
            for name, stream in self.training.items()
            if stream.labels is not None
        }


def _require_kind(domain: Domain, format: Format) -> None:
    if domain.modality != format.kind:
        raise LandbridgeError(
            f"the backbone takes {format.kind} inputs, but domain {domain.name} holds {domain.modality}s"
        )
