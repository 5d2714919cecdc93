"""MCC, BNM and entropy minimisation: losses that read only the predictions for the target."""

import json
from math import log, sqrt
from pathlib import Path

import pytest
import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.errors import LandbridgeError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())
RAMP_AT_THE_END = 0.9999092043
METHODS = ("bnm", "entropy", "mcc")


def term(strategy, logits):
    source = output("source", torch.zeros(4, 2), y=torch.zeros(4, dtype=torch.long))
    target = output("target_unlabelled", torch.zeros(len(logits), 2), logits)
    (name,) = strategy.terms
    return float(loss_of(strategy, source, target)[f"+{name}"])


# The golden value of BNM is that of the paper, |P| / n, for 4 samples of 3 classes. The loss is the mean of 3 values.
@pytest.mark.parametrize(("method", "scale"), [("mcc", RAMP_AT_THE_END), ("bnm", 4 / 3), ("entropy", RAMP_AT_THE_END)])
def test_the_term_is_added_with_its_weight(method, scale):
    logits = torch.tensor(GOLDEN["inputs"]["logits"], dtype=torch.float64)
    expected = 3 * scale * GOLDEN["values"][method]
    assert term(of_term(method, progress=1.0, weight=3.0), logits) == pytest.approx(expected, abs=1e-9)


def test_confident_and_balanced_predictions_have_the_lowest_loss():
    sure, vague = 1000 * torch.eye(3).repeat(4, 1), torch.zeros(12, 3)
    ends = {method: [term(of_term(method, progress=1.0, weight=1.0), p) for p in (sure, vague)] for method in METHODS}
    assert ends["mcc"] == pytest.approx([0, RAMP_AT_THE_END * 2 / 3])
    assert ends["bnm"] == pytest.approx([-sqrt(12 / 3), -sqrt(12 / 3) / 3])
    assert ends["entropy"] == pytest.approx([0, RAMP_AT_THE_END * log(3)])


def test_confident_predictions_of_one_class_are_optimal_for_entropy_but_not_for_bnm():
    same = 1000 * torch.eye(3)[:1].expand(12, 3)
    assert term(of_term("entropy", progress=1.0), same) == 0
    assert term(of_term("bnm"), same) == pytest.approx(-sqrt(12) / 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_reads_only_the_target_and_trains_backbone_and_head(method):
    name = f"+{method}"
    strategy = of_term(method, progress=0.5)
    terms = loss(strategy, batches())
    assert parts(strategy, terms[name]) == {"backbone", "head"}
    other = batches() | {"source": batches(seed=2)["source"]}
    strategy.eval()
    assert torch.equal(loss(strategy, other)[name], loss(strategy, batches())[name])
    assert falls(strategy, batches(), name)


def test_the_weights_of_mcc_and_entropy_begin_at_zero_and_that_of_bnm_does_not():
    begins = {name: float(loss(of_term(name), batches())[f"+{name}"].detach()) for name in METHODS}
    assert begins["mcc"] == begins["entropy"] == 0
    assert begins["bnm"] < 0


def test_temperature_softens_predictions():
    logits = torch.tensor(GOLDEN["inputs"]["logits"])
    cool, warm = (term(of_term("mcc", progress=1.0, temperature=t), logits) for t in (0.5, 5.0))
    assert cool < warm


@pytest.mark.parametrize("method", ["bnm", "mcc"])
def test_a_batch_with_fewer_samples_than_classes_is_refused(method):
    message = f"terms: {method} needs .* at least 3 samples, one per class, .* target_unlabelled have 2"
    with pytest.raises(LandbridgeError, match=message):
        loss(of_term(method), batches(24, 2))
    loss(of_term(method), batches(2, 3))
