"""Learning without forgetting."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import distillation
from landbridge.strategies.fine_tuning.look_back import WithInitialModel, WithSourceHead
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class LwF(WithInitialModel, WithSourceHead):
    r"""Learning without forgetting (Li & Hoiem, 2017, arXiv:1606.09282).

    The loss on target samples is $\mathrm{CE}(g_t, y_t) + w\,\mathrm{KL}(\operatorname{softmax}(g^0 / T) \,\|\,
    \operatorname{softmax}(g^{old} / T))$. The old head is the classifier that the initial weights were trained with. It
    continues to train with the backbone. The second term keeps its predictions $g^{old}$ on the target samples close to
    its predictions before training, $g^0$. No sample of the old task is needed. The paper trains the new head alone at
    first: see `freeze=linear_then_full`.

    Args:
        weight: weight of the divergence, $w$.
        temperature: divisor of all logits in the divergence, $T$.
        **base: see `Strategy`.
    """

    requirements: ClassVar = WithInitialModel.requirements.but(source_classifier=True, needs={ONE_CLASS})

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 1.0, temperature: Annotated[float, Gt(0)] = 2.0, **base: Any
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.temperature = temperature

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the old classifier, and store a frozen copy of it."""
        super().load_auxiliary_state(state)
        self.initial.keep("source_head", self.source_head)

    def loss(self, target: Output, target_at_start: Output) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the cross-entropy of the target, and the divergence from the old predictions."""
        old = self.source_head(target.features)
        at_start = self.initial.get_submodule("source_head")(target_at_start.features)
        remember = self.weight * distillation(old, at_start, self.temperature)
        return {"supervised": self.supervised(target), "remember": remember}
