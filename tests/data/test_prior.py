"""Sub-sampling to stated class shares."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.data.inputs import TensorInputs
from landbridge.data.prior import class_shares, sampled
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, Regression

ANTS = Classification(("ant", "bee", "fly"))


def vectors(n=300):
    return TensorInputs(torch.arange(n).float().unsqueeze(1))


def counts(domain):
    return sum(part.labels.open("test").bincount(minlength=3) for part in domain.splits.values()).tolist()


@pytest.mark.parametrize(
    ("prior", "wanted", "name"),
    [
        (4, [100, 50, 25], "zoo_long_tail_4"),
        (1, [100, 100, 100], "zoo_long_tail_1"),
        ([1, 2, 4], [25, 50, 100], "zoo_prior_"),
        ({"fly": 4, "bee": 2.0, "ant": 1}, [25, 50, 100], "zoo_prior_"),
    ],
)
def test_a_domain_has_the_stated_shares_in_every_split_seed(prior, wanted, name):
    domains = [split_domain("zoo", ANTS, vectors(), torch.arange(300) % 3, prior=prior, seed=seed) for seed in (0, 1)]
    for domain in domains:
        assert counts(domain) == wanted
        assert domain.name.startswith(name)
        assert list(domain.design["prior"].values()) == pytest.approx(np.array(wanted) / sum(wanted))
        assert len(domain.splits["test"].inputs) == round(0.2 * sum(wanted))
    assert domains[0].samples == domains[1].samples
    assert domains[0].fingerprint != domains[1].fingerprint


@given(st.permutations(range(60)), st.lists(st.floats(0.1, 9), min_size=3, max_size=3))
@settings(deadline=None, max_examples=30)
def test_the_choice_depends_on_contents_and_is_as_large_as_possible(order, shares):
    inputs, labels = vectors(60), torch.arange(60) % 3
    kept = sampled(labels, shares, inputs.hashes())
    moved = sampled(labels[order], shares, inputs.hashes().select(torch.tensor(order)))
    assert sorted(order[place] for place in moved.tolist()) == kept.tolist()
    held = labels[kept].bincount(minlength=3).tolist()
    assert max(held) == 20
    assert held == [max(1, int(20 * share / max(shares) + 1e-9)) for share in shares]


def test_given_splits_groups_and_attributes_are_sub_sampled_with_the_samples():
    places = [str(index) for index in range(300)]
    positions = {"train": torch.arange(0, 200), "test": torch.arange(200, 300)}
    domain = split_domain(
        "zoo", ANTS, vectors(), torch.arange(300) % 3, places, given=positions, prior=4, attributes={"place": places}
    )
    assert counts(domain) == [100, 50, 25]
    for split, part in domain.splits.items():
        assert [int(place) for place in part.attributes["place"]] == part.inputs.tensor.flatten().int().tolist()
        assert all((int(place) >= 200) == (split == "test") for place in part.attributes["place"])


@pytest.mark.parametrize(
    ("prior", "task", "message"),
    [
        ([1, 2], ANTS, "domain zoo: prior has 2 shares, and the domain has 3 classes: ant, bee, fly"),
        ({"ant": 1, "be": 2, "fly": 1}, ANTS, "names the class 'be', which is none of ant, bee, fly; nearest: 'bee'"),
        ({"ant": 1, "bee": 2}, ANTS, "prior gives no share for fly; name every class"),
        (3, Regression(("age",)), "prior needs one class a sample, and the task is regression; set prior=null"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(prior, task, message):
    with pytest.raises(LandbridgeError, match=message):
        class_shares(prior, task, "zoo")


def test_the_command_line_takes_a_number_a_list_and_names(compose):
    for typed, wanted in (("10", 10), ("[1,2]", [1, 2]), ("{a:1,b:0.5}", {"a": 1, "b": 0.5})):
        assert compose("target=mnist_5k", f"target.prior={typed}").target.prior == wanted
