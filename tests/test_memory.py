"""A device without enough memory ends a run in one sentence."""

import pytest
import torch

from landbridge.errors import LandbridgeError
from landbridge.record import Record

CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 3.00 GiB is "
    "free. Including non-PyTorch memory, this process has 76.00 GiB memory in use."
)


class Hungry(torch.optim.SGD):
    """SGD that finds no memory."""

    def step(self, closure=None):
        raise torch.OutOfMemoryError(CUDA)


class Greedy(torch.optim.SGD):
    """SGD that asks the CPU for more memory than there is."""

    def step(self, closure=None):
        torch.empty(10**15)


@pytest.mark.parametrize(("optimizer", "said"), [("Hungry", ""), ("Greedy", " (this needs 4,000,000.0 GB of memory")])
def test_missing_memory_is_one_sentence_with_the_batch_size(optimizer, said, tiny, tmp_path):
    with pytest.raises(LandbridgeError) as caught:
        tiny("optimizer=sgd", f"optimizer._target_=test_memory.{optimizer}")
    text = str(caught.value)
    assert text.startswith(f"data.batch_size=16: the memory is not enough{said}")
    assert "set a smaller data.batch_size" in text
    assert "\n" not in text
    assert Record.read(tmp_path / "run").reason == f"LandbridgeError: {text}"
