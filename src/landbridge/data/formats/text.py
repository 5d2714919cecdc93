"""Texts as token ids."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar

import torch
from torch import Tensor

from landbridge.data.formats.format import Format


@dataclass(frozen=True)
class TextFormat(Format):
    """Token ids (b, t) and a mask (b, t), which is True for tokens and False for padding.

    A batch is as wide as its longest text. The store needs rows of equal shape: there, all rows are `longest` wide, and
    a batch that is read from the store is cut to its longest text again. A run with a cache therefore trains on
    batches of the same shapes as a run without one.

    Attributes:
        tokenizer: content of a `tokenizer.json`, in the format of the library tokenizers.
        longest: largest number of tokens of a text; further tokens are cut off.
        pad: token id of padding.
        content: hash of `tokenizer`, which stands for it in keys of caches.
    """

    kind: ClassVar = "text"

    tokenizer: str = field(repr=False)
    longest: int
    pad: int = 0
    content: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", blake2b(self.tokenizer.encode(), digest_size=16).hexdigest())

    def tokenise(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return ids int64 (b, t) and mask bool (b, t) of a batch of texts; t is at most `longest`."""
        encoded = [each.ids for each in _tokenizer(self.tokenizer, self.longest).encode_batch_fast(list(texts))]
        lengths = torch.tensor([len(each) for each in encoded], dtype=torch.int64)
        mask = torch.arange(max(map(len, encoded), default=0)) < lengths[:, None]
        ids = torch.full(mask.shape, self.pad)
        ids[mask] = torch.tensor([token for each in encoded for token in each], dtype=torch.int64)
        return ids, mask

    def render(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return ids and mask as they are."""
        return raw

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return random ids and a mask of texts of different lengths."""
        width = min(self.longest, 8)
        tokens = _tokenizer(self.tokenizer, self.longest).get_vocab_size()
        ids = torch.randint(tokens, (n, width), generator=generator)
        mask = torch.arange(width) < torch.randint(1, width + 1, (n, 1), generator=generator)
        mask[0] = True
        return ids.where(mask, self.pad), mask

    def evened(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Pad the tokens to `longest`. Features, which have no mask, stay as they are."""
        if len(tensors) == 1:
            return tensors
        return tuple(_padded(each, self.longest) for each in tensors)

    def trimmed(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Cut the tokens to the longest text of the batch. Features, which have no mask, stay as they are."""
        if len(tensors) == 1:
            return tensors
        width = int(tensors[-1].any(0).sum())
        return tuple(each[:, :width].contiguous() for each in tensors)


def _padded(tensor: Tensor, width: int) -> Tensor:
    """Append zeros along the second dimension; the mask hides them."""
    wide = tensor.new_zeros(len(tensor), width, *tensor.shape[2:])
    wide[:, : tensor.shape[1]] = tensor
    return wide


@lru_cache(maxsize=8)
def _tokenizer(content: str, longest: int) -> Any:
    # Processes that read batches are forked. The threads of the library would not survive this, as it warns.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(content)
    tokenizer.enable_truncation(longest)
    tokenizer.no_padding()
    return tokenizer
