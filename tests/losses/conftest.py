import json
from pathlib import Path

import pytest
import torch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())


@pytest.fixture(scope="session")
def given():
    """Return the golden inputs as float64 tensors; labels stay integers."""
    return {name: _tensor(value) for name, value in GOLDEN["inputs"].items()}


@pytest.fixture(scope="session")
def golden():
    """Return a function that compares a result with the golden value of that name, up to 1e-10."""

    def matches(value, name):
        expected = torch.tensor(GOLDEN["values"][name], dtype=torch.float64)
        torch.testing.assert_close(torch.as_tensor(value, dtype=torch.float64), expected, rtol=0, atol=1e-10)

    return matches


@pytest.fixture
def draw():
    """Return a function that draws standard normal float64 samples; all calls share one generator with a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _tensor(value):
    integers = not torch.tensor(value).is_floating_point()
    return torch.tensor(value, dtype=torch.long if integers else torch.float64)
