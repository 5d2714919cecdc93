"""Texts in memory, which a format turns into token ids batch by batch."""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from landbridge.data.formats import Format, TextFormat
from landbridge.data.inputs import Inputs


class TextInputs(Inputs):
    """Texts.

    Args:
        texts: one per sample.
        hashes: hashes of the texts, if they are already known.
    """

    kind = "text"
    shape = ()

    def __init__(self, texts: Sequence[str], hashes: Sequence[str] | None = None) -> None:
        self.texts = texts
        self._hashes = None if hashes is None else list(hashes)

    def __len__(self) -> int:
        return len(self.texts)

    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Tokenise a batch with the format of a backbone."""
        if not isinstance(format, TextFormat):
            raise ValueError("texts need a text format, which tokenises them")
        chosen: list[int] = indices.tolist()
        return format.tokenise([self.texts[index] for index in chosen])

    def select(self, indices: Tensor) -> "TextInputs":
        """Return the texts at the given positions, with their hashes if these are known."""
        chosen: list[int] = indices.tolist()
        hashes = self._hashes and [self._hashes[index] for index in chosen]
        return TextInputs([self.texts[index] for index in chosen], hashes)

    def hashes(self) -> Sequence[str]:
        """Return a hash of each text."""
        if self._hashes is None:
            self._hashes = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in self.texts]
        return self._hashes
