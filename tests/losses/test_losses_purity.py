"""Properties of every loss: no synchronisation with the device, unchanged dtype, and support of torch's vmap."""

import ast
from pathlib import Path

import pytest
import torch

import landbridge.losses as losses

CLASSES = torch.tensor([0, 1, 2, 0, 1, 2])
DIRECTIONS = losses.random_directions(4, 5, generator=torch.Generator().manual_seed(0))


CALLS = {
    "adamatch": lambda f, g, p, q: losses.adamatch(p, q, p, 0.9),
    "aligned_distribution": lambda f, g, p, q: losses.aligned_distribution(p.softmax(1), q.softmax(1)).square().sum(),
    "attention_shares": lambda f, g, p, q: losses.attention_shares(f[:, 0]).square().sum(),
    "bi_tuning": lambda f, g, p, q: losses.bi_tuning(f[:, 0], p.unsqueeze(2) * q.unsqueeze(1), CLASSES.to(f.device)),
    "bnm": lambda f, g, p, q: losses.bnm(p),
    "bsp": lambda f, g, p, q: losses.bsp(f, g),
    "bss": lambda f, g, p, q: losses.bss(f),
    "class_conditional_sliced_wasserstein2": lambda f, g, p, q: losses.class_conditional_sliced_wasserstein2(
        f, CLASSES.to(f.device), g, q.argmax(1), q.softmax(1).amax(1), 0.2, 3, DIRECTIONS.to(f)
    ),
    "class_relationship": lambda f, g, p, q: (
        losses.class_relationship(p.softmax(1), CLASSES.to(f.device), 4).square().sum()
    ),
    "classifier_discrepancy": lambda f, g, p, q: losses.classifier_discrepancy(p, q),
    "confidence_mask": lambda f, g, p, q: losses.confidence_mask(p.softmax(1), 0.4).to(f.dtype).mean(),
    "coral": lambda f, g, p, q: losses.coral(f, g),
    "coral_with_mean": lambda f, g, p, q: losses.coral_with_mean(f, g),
    "dann_ramp": lambda f, g, p, q: losses.dann_ramp(f.mean()),
    "delta": lambda f, g, p, q: losses.delta([f.unsqueeze(1)], [g.unsqueeze(1)], [f[0].softmax(0)]),
    "distillation": lambda f, g, p, q: losses.distillation(p, q),
    "diversity": lambda f, g, p, q: losses.diversity(p),
    "domain_loss": lambda f, g, p, q: losses.domain_loss(p[:, 0], q[:, 0], p[:, 1].exp(), q[:, 1].exp()),
    "entropy": lambda f, g, p, q: losses.entropy(p),
    "entropy_weights": lambda f, g, p, q: losses.entropy_weights(p.softmax(1)).mean(),
    "fixmatch": lambda f, g, p, q: losses.fixmatch(p, q, 0.4),
    "gaussian_kernel_sum": lambda f, g, p, q: losses.gaussian_kernel_sum(f.square(), [0.5, 1.0]).mean(),
    "information_maximisation": lambda f, g, p, q: losses.information_maximisation(p),
    "joint_mmd2": lambda f, g, p, q: losses.joint_mmd2([(f, g), (p.softmax(1), q.softmax(1))], sigma2=(None, (0.8,))),
    "l2_sp": lambda f, g, p, q: losses.l2_sp({"w": f, "head": p}, {"w": g}, alpha=0.1, beta=0.1),
    "mcc": lambda f, g, p, q: losses.mcc(p),
    "mdd_objective": lambda f, g, p, q: losses.mdd_objective(p, q, q, p),
    "mdd_source": lambda f, g, p, q: losses.mdd_source(p, q),
    "mdd_target": lambda f, g, p, q: losses.mdd_target(p, q),
    "mmd2": lambda f, g, p, q: sum(losses.mmd2(f, g, estimator=e) for e in ("biased", "unbiased", "linear")),
    "multilinear_map": lambda f, g, p, q: losses.multilinear_map(f, p.softmax(1)).sum(),
    "randomised_multilinear_map": lambda f, g, p, q: losses.randomised_multilinear_map(f, p.softmax(1), g.T, q.T).sum(),
    "relative_threshold": lambda f, g, p, q: losses.relative_threshold(p.softmax(1), 0.9),
    "reverse_gradient": lambda f, g, p, q: losses.reverse_gradient(f, 0.5).sum(),
    "safn": lambda f, g, p, q: losses.safn(f),
    "shot_pseudo_labels": lambda f, g, p, q: losses.shot_pseudo_labels(f, p.softmax(1)).to(f.dtype).mean(),
    "sliced_wasserstein2": lambda f, g, p, q: losses.sliced_wasserstein2(f, g[1:], DIRECTIONS.to(f)),
    "squared_distances": lambda f, g, p, q: losses.squared_distances(f, g).mean(),
}
WAITS_FOR_THE_SOLVER = {"deepjdot", "optimal_plan"}
DRAWS = {"random_directions"}


def batch(draw, dtype=torch.float32, runs=()):
    return [draw(*runs, 6, width).to(dtype) for width in (5, 5, 3, 3)]


def test_every_public_name_is_covered():
    assert set(CALLS) | WAITS_FOR_THE_SOLVER | DRAWS == set(losses.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_read_back_from_the_device(draw, name):
    # Tensors on `meta` have no values. Reading a value raises, and so does a tensor from another device.
    arguments = [x.to("meta") for x in batch(draw)]
    value = CALLS[name](*arguments)
    assert value.shape == ()
    assert value.device.type == "meta"


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept_and_the_value_is_finite(draw, name, dtype):
    value = CALLS[name](*batch(draw, dtype))
    assert value.dtype == dtype
    assert value.isfinite()


@pytest.mark.parametrize("name", CALLS)
def test_runs_under_vmap_equal_single_runs(draw, name):
    many = batch(draw, torch.float64, runs=(3,))
    packed = torch.func.vmap(CALLS[name])(*many)
    for run in range(3):
        torch.testing.assert_close(packed[run], CALLS[name](*(x[run] for x in many)))


def test_the_package_imports_no_other_part_of_landbridge():
    for file in Path(losses.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                name = node.module or ""
                assert not name.startswith("landbridge") or name.startswith("landbridge.losses"), (file.name, name)
                assert "lightning" not in name, file.name
