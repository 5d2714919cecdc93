"""Weights as vectors: the averaged entries, and the average of linear networks."""

import torch
from torch import nn

from dusk import DuskNet
from landbridge.data.formats import VectorFormat
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.network import Network
from landbridge.models.tuning import LoRA
from landbridge.training.weight_vectors import as_vector, mixable, pour


def test_a_vector_written_into_a_network_is_read_back_exactly():
    torch.manual_seed(0)
    one, other = Network(DuskNet(), 3), Network(DuskNet(), 3)
    pour(as_vector(one.state_dict()), other)
    assert all(value.equal(other.state_dict()[name]) for name, value in one.state_dict().items())


def test_counters_and_one_of_loras_factors_are_not_averaged():
    network = Network(DuskNet(), 3)
    LoRA(rank=1).apply(network.backbone)
    left_out = network.state_dict().keys() - mixable(network.state_dict()).keys()
    assert {name.split(".", 2)[2] for name in left_out} == {
        *("0.lora_A.default.weight", "1.lora_A.default.weight", "1.num_batches_tracked", "2.num_batches_tracked")
    }


def test_units_are_not_averaged():
    network = Network(DuskNet(), 3, has_units=True)
    network.units.set(torch.full((3,), 7.0), torch.full((3,), 2.0))
    other = Network(DuskNet(), 3, has_units=True)
    pour(as_vector(network.state_dict()), other)
    assert other.units.scale.tolist() == [1, 1, 1]
    assert other.head.weight.equal(network.head.weight)


def test_averaging_linear_networks_averages_their_outputs():
    torch.manual_seed(0)
    start, tuned, mix = (
        Network(SequentialBackbone({"identity": nn.Flatten()}, VectorFormat(5), 5), 3) for _ in range(3)
    )
    x = torch.randn(7, 5)
    for alpha in (0.0, 0.3, 1.0):
        pour(as_vector(start.state_dict()).lerp(as_vector(tuned.state_dict()), alpha), mix)
        expected = (1 - alpha) * start(x)[1] + alpha * tuned(x)[1]
        torch.testing.assert_close(mix(x)[1], expected, atol=1e-6, rtol=1e-5)
