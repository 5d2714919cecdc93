"""The group `callbacks`: callbacks of Lightning by name, checked before anything is loaded."""

import pytest
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from landbridge.config.callbacks import INSTEAD, instead_of
from landbridge.config.check import check
from landbridge.errors import LandbridgeError

STEPS: list[int] = []


class Count(Callback):
    """Counts the steps of training."""

    def __init__(self, first: int = 0) -> None:
        if first < 0:
            raise ValueError(f"first={first} is below 0")
        self.steps = first

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps += 1
        STEPS.append(self.steps)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state_dict):
        self.steps = state_dict["steps"]


def test_a_callback_is_called_in_training_and_changes_no_result(tiny):
    STEPS.clear()
    counted = tiny("callbacks.mine._target_=test_callbacks.Count", "callbacks.mine.first=3", folder="counted")
    assert STEPS == [4, 5]
    plain = tiny(folder="plain")
    assert counted.results == plain.results
    assert counted.fingerprint != plain.fingerprint


def test_callbacks_may_be_a_list(compose):
    cfg = compose("experiment=tiny").copy()
    cfg._set_flag("readonly", False)
    cfg.callbacks = [{"_target_": "test_callbacks.Count"}, {"_target_": "test_callbacks.Count", "frist": 1}]
    with pytest.raises(LandbridgeError, match=r"callbacks\[1\].frist +Count has no such setting; nearest: first"):
        check(cfg)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["callbacks.mine._target_=test_callbacks.Count", "callbacks.mine.first=-1"], "first=-1 is below 0"),
        (["callbacks.mine.first=1"], "has no `_target_`"),
        (["callbacks.mine._target_=torch.nn.Linear"], "is not a Callback"),
        (["callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping", "callbacks.stop.monitor=loss"],
         "use patience=... with a selection rule"),
    ],
)  # fmt: skip
def test_a_callback_that_cannot_be_used_is_refused(typed, says, compose):
    with pytest.raises(LandbridgeError, match="1 problem") as refused:
        check(compose("experiment=tiny", *typed))
    assert says in str(refused.value)


def test_what_derives_from_a_refused_callback_is_refused():
    assert instead_of(type("Mine", (ModelCheckpoint,), {}))
    assert not instead_of(Count)
    assert all(INSTEAD.values())


def test_what_lightning_refuses_when_training_starts_is_one_sentence(tiny):
    with pytest.raises(LandbridgeError, match="Lightning refuses the configuration: Cannot use `LearningRateMonitor`"):
        tiny("callbacks=lr_monitor")
