"""Every optional stream of every strategy changes the gradient. The tests are generated from `conf/strategy/`."""

from typing import Any

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from test_every_strategy import STRATEGIES, setting  # noqa: F401 -- a fixture

from landbridge.cli.config_sources import conf_folder
from landbridge.strategies.base import Strategy
from landbridge.strategies.loss_totals import total


def strategy_class(strategy: str) -> Any:
    node: Any = OmegaConf.load(conf_folder() / "strategy" / f"{strategy}.yaml")
    return get_class((node.get("strategy") or node)["_target_"])


PAIRS = [
    (strategy, stream)
    for strategy in STRATEGIES
    for stream in sorted(strategy_class(strategy).requirements.optional_streams)
]


class Stop(Exception):
    """The first step has been checked."""


def gradient(strategy: Strategy, batch: dict[str, Any]) -> torch.Tensor:
    torch.manual_seed(0)
    loss = total(strategy.loss_terms(strategy.encode_streams(batch)))
    trained = [each for each in strategy.parameters() if each.requires_grad]
    found = torch.autograd.grad(loss, trained, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(trained, found, strict=True)])


def test_there_are_optional_streams():
    assert len(PAIRS) > 15
    assert ("mcc", "target") in PAIRS


@pytest.mark.parametrize(("strategy", "stream"), PAIRS)
def test_an_optional_stream_changes_the_gradient(strategy, stream, setting, tiny, monkeypatch):  # noqa: F811
    def begin(self):
        start(self)
        # In the first step, weights with a ramp are still 0.
        self.batches_seen = self.steps // 2

    def step(self, batch, batch_idx):
        with_it, without = gradient(self, batch), gradient(self, {k: v for k, v in batch.items() if k != stream})
        assert with_it.isfinite().all()
        assert not torch.allclose(with_it, without)
        raise Stop

    # Another class trains the source model.
    method = strategy_class(strategy)
    start = method.on_train_start
    monkeypatch.setattr(method, "on_train_start", begin)
    monkeypatch.setattr(method, "training_step", step)
    with pytest.raises(Stop):
        tiny(*setting(strategy, 2))
