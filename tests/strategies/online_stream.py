"""A stream of test batches, and its prediction with a real trainer."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Trainer
from small_problem import batches
from torch import Tensor
from torch.utils.data import DataLoader

from landbridge.run.trainers import quiet
from landbridge.strategies import Output, Strategy


def stream(*sizes: int, name: str = "target") -> list[dict[str, Any]]:
    """Draw unlabelled batches of the given sizes."""
    drawn = (batches(size, seed=seed)["target_unlabelled"] for seed, size in enumerate(sizes))
    return [{"stream": name, **batch} for batch in drawn]


def predict(strategy: Strategy, arriving: Sequence[dict[str, Any]]) -> list[Output]:
    """Predict a stream in the same way as the final evaluation."""
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=not strategy.requirements.adapts_at_test,
    )
    with quiet():
        return trainer.predict(strategy, DataLoader(list(arriving), batch_size=None))  # type: ignore[return-value]


def state(strategy: Strategy) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers of a strategy."""
    return {name: value.clone() for name, value in strategy.state_dict().items()}


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Return the names of all tensors that differ."""
    assert one.keys() == other.keys()
    return {name for name in one if not one[name].equal(other[name])}
