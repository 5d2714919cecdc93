import numpy as np
import pytest
import torch
from small_problem import output

import dusk
from landbridge.data.augment import VIEWS
from landbridge.data.augment_policies import Weak
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.models.network import Network
from landbridge.strategies import AdaMatch
from landbridge.strategies.self_training.adamatch import mix
from landbridge.training.freezing import Depth
from landbridge.training.schedules import Constant


@pytest.fixture
def adamatch():
    """The strategy with the data that it augments, and a batch of the data."""
    torch.manual_seed(0)
    network = Network(dusk.DuskNet(dropout=0.0), len(dusk.CLASSES))
    base = {"freeze": Depth(), "optimizer": torch.optim.SGD, "schedule": Constant(), "steps": 100, "terms": {}}
    strategy = AdaMatch(network=network, **base)
    domains = {"source": dusk.dusk("noon"), "target": dusk.dusk("dusk", shift=0.5)}
    names = frozenset({"source", "target_unlabelled", "target"})
    streams = TransferStreams.of(
        **domains, names=names, target_labels=2, format=network.backbone.format, seed=0, augment=Weak()
    )
    data = TransferData(streams, batch_size=8)
    return strategy, data, next(iter(data.train_dataloader()))


def test_a_share_of_one_keeps_the_logits_of_the_joint_batch():
    together, alone = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(mix(together, alone, torch.ones(3, 4)), together)
    assert torch.equal(mix(together, alone, torch.zeros(3, 4)), alone)


def test_encoding_the_source_alone_does_not_change_the_statistics(adamatch, monkeypatch):
    strategy, data, batch = adamatch
    monkeypatch.setattr(AdaMatch, "data", data)
    before = {name: value.clone() for name, value in strategy.network.named_buffers()}
    strategy.train()
    outputs = strategy.encode_streams(batch)
    after = dict(strategy.network.named_buffers())
    assert [int(value) for name, value in after.items() if name.endswith("tracked")] == [1, 1]
    assert not torch.equal(after["backbone.conv.1.running_mean"], before["backbone.conv.1.running_mean"])
    assert outputs.keys() == {name + view for name in batch for view in ("", "_strong")}
    assert torch.equal(outputs["source_strong"].y, batch["source"]["y"])
    with pytest.raises(Exception, match="carries no labels"):
        _ = outputs["target_unlabelled_strong"].y


def test_source_logits_lie_between_those_of_the_joint_batch_and_those_alone(adamatch, monkeypatch):
    strategy, _, batch = adamatch
    monkeypatch.setattr(AdaMatch, "augmented", lambda self, name, of, kind, x: x)
    strategy.train()
    outputs = strategy.encode_streams(batch)
    x = {name: strategy.format.render(part["x"].tensors)[0] for name, part in batch.items()}
    joint = strategy.network(torch.cat([*x.values(), *x.values()]))[1]
    first = sum(len(each) for name, each in x.items() if list(x).index(name) < list(x).index("source"))
    together, alone = joint[first : first + 8], strategy.network(torch.cat([x["source"], x["source"]]))[1][:8]
    low, high = torch.minimum(together, alone) - 1e-5, torch.maximum(together, alone) + 1e-5
    mixed = outputs["source"].logits
    assert ((low <= mixed) & (mixed <= high)).all()
    shares = ((mixed - alone) / (together - alone)).detach()
    assert shares.std() > 0.1  # every entry has its own
    assert not torch.allclose(mixed, outputs["source_strong"].logits)


def test_the_weight_of_the_unlabelled_loss_rises_in_the_first_half(adamatch):
    strategy, *_ = adamatch
    progress = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    for t, expected in zip(progress, [0, 0.5, 1, 1, 1], strict=True):
        strategy.batches_seen = round(100 * t)
        assert strategy.warmup == pytest.approx(expected)


def test_augmentations_depend_on_the_content_of_a_domain(adamatch):
    _, data, batch = adamatch
    assert data.streams.augmentations == dict.fromkeys(batch, VIEWS["photographs"])


def test_the_alignment_averages_predictions_over_batches(adamatch):
    strategy, *_ = adamatch
    k = len(dusk.CLASSES)
    logits = torch.eye(k)[[0, 0, 1]] * 50  # two of three samples of class 0
    source, target = output("source", logits, logits), output("target_unlabelled", logits, logits)
    of_source, of_target = strategy._mean_shares(source, target)
    batch = torch.eye(k)[[0, 0, 1]].mean(0)
    torch.testing.assert_close(of_source, 0.999 / k + 0.001 * batch)
    torch.testing.assert_close(of_target, 127 / 128 / k + batch / 128)
    assert {"source_share", "target_shares"} <= strategy.state_dict().keys()  # a resumed run goes on with them


def test_a_moving_average_is_evaluated_and_its_decay_rises(adamatch):
    strategy, *_ = adamatch
    with torch.no_grad():
        for each in strategy.network.parameters():
            each.fill_(1.0)
        for each in strategy.averaged.parameters():
            each.fill_(0.0)
    strategy.batches_seen = 8
    strategy.on_train_batch_end(None, None, 0)
    assert all(torch.allclose(each, torch.tensor(0.5)) for each in strategy.averaged.parameters())  # 1 - 9 / 18
    assert strategy.eval().network_for("target") is strategy.averaged
    assert strategy.train().network_for("target_unlabelled") is strategy.network
