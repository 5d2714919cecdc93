"""Settings of training that depend on what is predicted."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.tasks.task import Task


@dataclass(frozen=True)
class TaskSettings:
    r"""How the labels of a task count in the loss of a strategy, the group `task`.

    What is predicted follows from the data, so it is not a setting.

    Attributes:
        class_weights: `balanced` gives a labelled sample of class c the weight $n / (k\,n_c)$ in the task's loss, as
            scikit-learn does. n, $n_c$ and k are the numbers of labelled samples, of those of class c, and of the
            classes that have any, in the same stream. None: all samples count alike.
    """

    class_weights: Literal["balanced"] | None = None

    def weights(self, task: Task, y: Tensor, role: str = "target") -> Tensor | None:
        """Return the weight of each labelled sample in the loss (n,), whose mean is 1; None if all count alike.

        A class without a visible label has no sample in this loss, so it has no weight, and k does not count it.

        Args:
            task: what the labels mean.
            y: visible labels of one stream (n, ...), none of them hidden as a whole.
            role: whose task it is, for the message.

        Raises:
            LandbridgeError: the samples of this task do not have one class each.
        """
        if self.class_weights is None:
            return None
        _, place, counts = classes_of(task, y, "task.class_weights=balanced", role).unique(
            return_inverse=True, return_counts=True
        )
        return (len(y) / (len(counts) * counts.double()))[place].float()


def classes_of(task: Task, y: Tensor, setting: str, role: str = "target") -> Tensor:
    """Return the class of each sample (n,), which are the labels, for a setting that balances classes.

    Args:
        task: what the labels mean.
        y: labels (n, ...).
        setting: for the message, such as `data.sampler=balanced`.
        role: whose task it is, `source` or `target`, for the message.

    Raises:
        LandbridgeError: the samples of this task do not have one class each.
    """
    if not task.has_classes:
        raise LandbridgeError(
            f"{setting} balances the classes of a classification, and the {role}'s task is "
            f"{task.kind.replace('_', ' ')}: leave it out"
        )
    return y
