import numpy as np
import pytest
import torch
from moves import descend
from scipy.special import softmax, xlogy
from small_problem import CLASSES, batches, loss, make, parts

from landbridge.data.activations import Activation
from landbridge.strategies import CDAN, DANN

variants = pytest.mark.parametrize(
    "settings", [{}, {"entropy_weighting": True}, {"widest_map": 0, "sketch": 5}], ids=["cdan", "cdan_e", "sketched"]
)


@variants
def test_the_domain_loss_trains_encoder_and_discriminator_and_never_the_head(settings):
    strategy = make(CDAN, progress=0.5, **settings)
    assert parts(strategy, loss(strategy, batches())["confuse"]) == {"backbone", "discriminator"}
    beginning = make(CDAN, progress=0.0, **settings)
    assert parts(beginning, loss(beginning, batches())["confuse"]) == {"discriminator"}


@variants
@pytest.mark.parametrize(("part", "falls"), [("discriminator", True), ("network.backbone", False)])
def test_the_discriminator_lowers_the_domain_loss_and_the_encoder_raises_it(settings, part, falls):
    strategy = make(CDAN, progress=0.5, **settings)
    before = loss(strategy, batches())["confuse"]
    descend(strategy, before, part)
    assert bool(loss(strategy, batches())["confuse"] < before) is falls


def test_the_discriminator_reads_every_product_of_a_feature_and_a_probability():
    strategy = make(CDAN)
    features, probabilities = torch.rand(2, 6), torch.rand(2, CLASSES)
    seen = strategy.join(features, probabilities)
    assert seen.shape == (2, strategy.discriminator[0].in_features)
    torch.testing.assert_close(seen[1], torch.outer(features[1], probabilities[1]).flatten())


def test_a_wide_map_is_projected_by_matrices_that_are_in_the_checkpoint():
    assert make(CDAN, widest_map=6 * CLASSES).r_f is None
    strategy = make(CDAN, widest_map=6 * CLASSES - 1, sketch=5)
    assert strategy.discriminator[0].in_features == 5
    assert {"r_f", "r_p"} <= strategy.state_dict().keys()
    other = make(CDAN, widest_map=0, sketch=5)
    other.r_f.normal_()
    assert not torch.equal(loss(other, batches())["confuse"], loss(strategy, batches())["confuse"])
    other.load_state_dict(strategy.state_dict())
    assert torch.equal(loss(other, batches())["confuse"], loss(strategy, batches())["confuse"])


def test_confident_predictions_have_a_larger_weight_in_cdan_e():
    strategy = make(CDAN, entropy_weighting=True).double().eval()
    data = {name: batch | {"x": Activation(0, (batch["x"].tensors[0].double(),))} for name, batch in batches().items()}
    expected = 0.0
    for name, sign in (("source", -1), ("target_unlabelled", 1)):
        output = strategy.encode(name, data[name])
        p = softmax(output.logits.detach().double().numpy(), axis=1)
        judged = strategy.discriminator(
            torch.from_numpy(np.einsum("nd,nk->ndk", output.features.detach().double(), p).reshape(len(p), -1))
        )
        weights = 1 + np.exp(xlogy(p, p).sum(1))
        losses = np.logaddexp(0, sign * judged.detach().numpy()[:, 0])
        expected += 0.5 * np.average(losses, weights=weights)
    assert float(loss(strategy, data)["confuse"].detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", [CDAN, DANN])
def test_training_can_drop_outputs_of_both_hidden_layers(method):
    layers = make(method, hidden=8, dropout=0.3).discriminator
    hidden = [torch.nn.Linear, torch.nn.ReLU, torch.nn.Dropout]
    assert [type(each) for each in layers] == [*hidden, *hidden, torch.nn.Linear]
    assert [each.p for each in layers if isinstance(each, torch.nn.Dropout)] == [0.3, 0.3]
