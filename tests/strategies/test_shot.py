from collections.abc import Mapping

import pytest
import torch
from small_problem import batches, loss, make

import dusk
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.losses import information_maximisation
from landbridge.strategies import SHOT


def weights(path) -> Mapping[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def target(n: int = 24, labels: int = 0):
    return {name: batch for name, batch in batches(n, labels=labels).items() if name != "source"}


@pytest.mark.parametrize("variant", ["shot", "shot_im"])
def test_it_adapts_a_checkpoint_without_the_source(variant, tiny, tmp_path, monkeypatch):
    tiny("strategy=source_only", folder="before")
    checkpoint = tmp_path / "before" / "last.ckpt"
    present = dusk.dusk

    def deleted(name: str, **rest: float) -> Domain:
        if name == "noon":
            raise FileNotFoundError("the source data are gone")
        return present(name, **rest)

    monkeypatch.setattr(dusk, "dusk", deleted)
    with pytest.raises(Exception, match="gone"):
        tiny("strategy=source_only", folder="impossible")
    record = tiny(f"strategy={variant}", "start=checkpoint", f"start.path={checkpoint}", folder="after")
    assert record.status == "done"
    assert record.results.keys() == {"target"}
    before, after = weights(checkpoint), weights(tmp_path / "after" / "last.ckpt")
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(equal for name, equal in same.items() if name.startswith("network.head."))
    assert not any(equal for name, equal in same.items() if name.endswith("0.weight"))


def test_a_start_from_scratch_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="needs a source model"):
        tiny("strategy=shot", "start=scratch")


def test_pseudo_labels_are_looked_up_by_the_position_of_a_sample():
    strategy = make(SHOT, beta=0.5).eval()
    data = target()
    output = strategy.encode("target_unlabelled", data["target_unlabelled"])
    labels = torch.randint(3, (24,), generator=torch.Generator().manual_seed(0))
    strategy._pseudo_labels = labels
    order = torch.randperm(24)
    batch = data["target_unlabelled"]
    shuffled = {"target_unlabelled": {"x": batch["x"].take(order), "index": batch["index"][order]}}
    expected = -torch.log_softmax(output.logits, 1)[torch.arange(24), labels].mean() / 2
    torch.testing.assert_close(loss(strategy, shuffled)["pseudo_label"], expected)


def test_information_is_maximised_and_visible_labels_are_part_of_the_loss():
    strategy = make(SHOT, weight=2.0).eval()
    data = target(labels=6)
    terms = loss(strategy, data)
    assert terms.keys() == {"inform", "supervised"}  # no pseudo-labels before the first epoch
    output = strategy.encode("target_unlabelled", data["target_unlabelled"])
    torch.testing.assert_close(terms["inform"], -2 * information_maximisation(output.logits))


def test_every_epoch_computes_pseudo_labels_unless_beta_is_zero(tiny, tmp_path, monkeypatch):
    epochs = []
    collect = SHOT.collect
    monkeypatch.setattr(SHOT, "collect", lambda self, name: epochs.append(self.current_epoch) or collect(self, name))
    source = ["start=source", f"start.cache={tmp_path}", "start.max_epochs=1", "trainer.max_epochs=3"]
    tiny("strategy=shot_im", *source, folder="im")
    assert epochs == []
    tiny("strategy=shot", *source, folder="shot")
    assert epochs == [0, 1, 2]
