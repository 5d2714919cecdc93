"""Schedules as functions of progress, and the learning rates that the optimizer uses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import LandbridgeError
from landbridge.training.schedules import Constant, Cosine, InverseDecay, SlantedTriangular

PROGRESS = st.floats(0, 1)


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 0.01), (0.5, 0.0026084743), (1.0, 0.0016556003)])
def test_inverse_decay_is_that_of_the_paper(progress, rate):
    assert 0.01 * InverseDecay()(progress) == pytest.approx(rate, abs=1e-10)


@given(PROGRESS, st.floats(0, 0.9))
def test_cosine_rises_linearly_and_falls_as_half_a_cosine(progress, warmup):
    factor = Cosine(warmup)(progress)
    if progress < warmup:
        assert factor == pytest.approx(progress / warmup)
    else:
        assert factor == pytest.approx(math.cos(math.pi / 2 * (progress - warmup) / (1 - warmup)) ** 2)
    assert 0 <= factor <= 1


@given(PROGRESS, st.floats(0.05, 0.95), st.floats(1, 100))
def test_the_slanted_triangle_rises_to_its_cut_and_falls(progress, cut, ratio):
    factor = SlantedTriangular(cut, ratio)
    share = progress / cut if progress < cut else 1 - (progress - cut) / (1 - cut)
    assert factor(progress) == pytest.approx(1 / ratio + share * (1 - 1 / ratio))
    assert factor(0) == pytest.approx(1 / ratio) == factor(1)
    assert factor(cut) == pytest.approx(1)


@given(PROGRESS)
def test_a_decay_of_speed_zero_is_constant(progress):
    assert InverseDecay(gamma=0)(progress) == Constant()(progress) == 1


class Noted(torch.optim.SGD):
    """SGD that records the learning rates of its steps."""

    rates: list[list[float]]

    def step(self, closure=None):
        Noted.rates.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


def test_every_step_has_the_learning_rate_of_its_progress_and_the_backbone_a_tenth(tiny):
    Noted.rates = []
    tiny(
        "strategy=fine_tune",
        "target_labels=all",
        "optimizer._target_=test_schedules.Noted",
        "optimizer.lr=0.01",
        "scheduler=inverse_decay",
        "trainer.max_epochs=2",
    )
    expected = [0.01 * (1 + 10 * step / 4) ** -0.75 for step in range(4)]
    heads = [max(rates) for rates in Noted.rates]
    backbones = [min(rates) for rates in Noted.rates]
    assert heads == pytest.approx(expected)
    assert backbones == pytest.approx([rate / 10 for rate in expected])


# ---- warm-up


@given(PROGRESS, st.floats(0, 0.9))
def test_every_schedule_rises_linearly_in_its_warm_up_and_then_starts_anew(progress, warmup):
    for schedule in (Constant, Cosine, InverseDecay):
        plain, warm = schedule(), schedule(warmup=warmup)
        if progress < warmup:
            assert warm(progress) == pytest.approx(progress / warmup)
        else:
            assert warm(progress) == pytest.approx(plain((progress - warmup) / (1 - warmup)), abs=1e-9)


def test_the_length_of_the_warm_up_may_be_steps_or_epochs():
    assert Constant(warmup_steps=30).planned(120, 4)(0.125) == pytest.approx(0.5)
    assert Cosine(warmup_epochs=0.5).planned(120, 4)(0.125) == pytest.approx(1)
    assert InverseDecay(warmup=0.5).planned(120, 4)(0.25) == pytest.approx(0.5)
    with pytest.raises(LandbridgeError, match="warmup_steps=120: training has 120 steps; set fewer steps"):
        Constant(warmup_steps=120).planned(120, 4)
    with pytest.raises(LandbridgeError, match=r"warmup=0\.1 and warmup_epochs=1 both set the warm-up"):
        Cosine(0.1, warmup_epochs=1)


def test_the_learning_rate_rises_over_the_steps_of_the_warm_up(tiny):
    Noted.rates = []
    tiny(
        "optimizer._target_=test_schedules.Noted",
        "optimizer.lr=0.01",
        "scheduler.warmup_epochs=1",
        "trainer.max_epochs=2",
        "data.steps_per_epoch=4",
    )
    assert [rates[0] for rates in Noted.rates] == pytest.approx([0, 0.0025, 0.005, 0.0075, *[0.01] * 4])
