import numpy as np
import pytest
import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.losses import random_directions

RAMP_HALFWAY = 0.9866142982


@pytest.fixture
def streams():
    generator = torch.Generator().manual_seed(0)
    s, t, logits = (torch.randn(12, width, generator=generator).double() for width in (4, 4, 3))
    return {
        "source": output("source", s, y=torch.arange(12) % 3),
        "target_unlabelled": output("target_unlabelled", t, 2 * logits),
    }


def squared(x, y):
    """The exact squared transport cost between two samples on a line. Copies make their sizes equal."""
    return np.mean((np.sort(np.repeat(x, len(y))) - np.sort(np.repeat(y, len(x)))) ** 2)


def test_the_distances_between_domains_and_classes_are_those_of_the_definition(streams):
    s, t = (stream.features.numpy() for stream in streams.values())
    p = streams["target_unlabelled"].logits.softmax(1).numpy()
    y, pseudo, sure = np.arange(12) % 3, p.argmax(1), p.max(1) > 0.6
    assert 0 < sure.sum() < 12

    torch.manual_seed(5)
    lines = random_directions(10, 4, dtype=torch.float64).numpy()
    torch.manual_seed(5)
    strategy = of_term("swd", progress=0.5, weight=3.0, class_weight=2.0, threshold=0.6, directions=10)
    torch.manual_seed(5)
    terms = loss_of(strategy, *streams.values())

    whole = np.mean([squared(s @ line, t @ line) for line in lines])
    classes = sum(
        np.mean([squared(s[y == k] @ line, t[(pseudo == k) & sure] @ line) for line in lines])
        for k in range(3)
        if ((pseudo == k) & sure).any()
    )
    assert float(terms["+swd"]) == pytest.approx(RAMP_HALFWAY * 3 * whole)
    assert float(terms["+swd_classes"]) == pytest.approx(RAMP_HALFWAY * 2 * classes)


def test_pseudo_labels_are_not_used_in_the_warm_up(streams):
    settings = {"warm_up": 0.3, "threshold": 0.0}
    assert loss_of(of_term("swd", progress=0.29, **settings), *streams.values())["+swd_classes"] == 0
    assert loss_of(of_term("swd", progress=0.30, **settings), *streams.values())["+swd_classes"] > 0
    assert loss_of(of_term("swd", progress=0.30, warm_up=0.3, threshold=1.0), *streams.values())["+swd_classes"] == 0
    assert "+swd_classes" not in loss_of(of_term("swd", progress=0.9, class_weight=0.0), *streams.values())


def test_every_step_draws_directions_from_the_global_generator(streams):
    strategy = of_term("swd", progress=0.5, directions=2)
    state = torch.get_rng_state()
    first, second = (float(loss_of(strategy, *streams.values())["+swd"]) for _ in range(2))
    torch.set_rng_state(state)
    assert float(loss_of(strategy, *streams.values())["+swd"]) == first != second


def test_the_weight_of_the_alignment_begins_at_zero(streams):
    terms = loss_of(of_term("swd", warm_up=0.0, threshold=0.0), *streams.values())
    assert terms["+swd"] == 0
    assert terms["+swd_classes"] == 0


def test_alignment_trains_only_the_backbone_and_reduces_the_distance():
    strategy = of_term("swd", progress=0.5, threshold=0.4)
    terms = loss(strategy, batches())
    assert terms["+swd_classes"] > 0
    assert parts(strategy, terms["+swd"]) == {"backbone"}
    assert parts(strategy, terms["+swd_classes"]) == {"backbone"}
    assert falls(strategy, batches(), "+swd")
    assert loss(strategy, batches(24, 10))["+swd"] > 0
