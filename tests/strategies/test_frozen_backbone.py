"""Every strategy over a frozen backbone trains what is tested, or is refused before anything expensive.

The tests are generated from the folder `conf/strategy/`.
"""

import random

import numpy as np
import pytest
import torch
from hydra.utils import get_class

from landbridge.cli.config_sources import conf_folder
from landbridge.errors import LandbridgeError
from landbridge.run import run as runs
from landbridge.run.checkpoints import LAST
from landbridge.sweeps import rehearsal

STRATEGIES = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml"))
#: Those that take no gradient step, or combine the weights of finished runs.
WITHOUT_STEPS = {"as_is", "knn", "logistic", "nearest_mean", "ridge", "soup"}
REFUSED = {
    *("adabn", "adda", "bi_tuning", "bn_adapt", "bsp", "bss", "cdan", "cdan_e", "co_tuning", "coral", "dan", "dann"),
    *("delta", "dsbn", "gmm_prototypes", "lwf", "mcd", "mdd", "safn", "shot", "shot_im", "stoch_norm", "swd", "tent"),
}


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in WITHOUT_STEPS])
def test_it_trains_what_is_tested_or_is_refused_before_the_cache(strategy, compose, tiny, tmp_path, monkeypatch):
    needs = get_class(compose(f"strategy={strategy}").strategy._target_).requirements
    labels = int("target" in needs.streams)
    from_source = needs.source_model or needs.source_classifier or needs.looks_back or strategy == "l2_sp"
    start = ["start=source", "start.max_epochs=1", f"start.cache={tmp_path / 'models'}"] if from_source else []
    cache = ["cache=activations", f"cache.path={tmp_path / 'store'}"]
    transductive = ["transductive=true"] if needs.adapts_at_test else []
    before = {}
    fit = runs.fit

    def spy(cfg, prepared, *others):
        before.update({name: tensor.clone() for name, tensor in prepared.network.state_dict().items()})
        return fit(cfg, prepared, *others)

    monkeypatch.setattr(runs, "fit", spy)
    try:
        tiny(f"strategy={strategy}", f"target_labels={labels}", "freeze.depth=all", *start, *cache, *transductive)
    except LandbridgeError:
        refused = True
        assert not list(tmp_path.glob("store/**/*.*"))
        assert not list(tmp_path.glob("models/*/record.json"))
    else:
        refused = False
        after = torch.load(tmp_path / "run" / LAST, weights_only=True)["state_dict"]
        assert any(not torch.equal(before[name], after[f"network.{name}"]) for name in before)
    assert refused == (strategy in REFUSED)


def test_the_check_draws_nothing_from_the_global_generators(compose):
    cfg = compose("experiment=tiny", "strategy=jan", "freeze.depth=all")
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    rehearsal._fault(cfg)
    now = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    assert torch.equal(states[0], now[0])
    assert states[1:] == now[1:]
