"""Texts in memory, which a format turns into token ids batch by batch."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from landbridge.data.digests import Digests
from landbridge.data.formats import Format, TextFormat
from landbridge.data.inputs import Inputs
from landbridge.data.texts import Texts


class TextInputs(Inputs):
    """Texts.

    Args:
        texts: one per sample; they are kept as one block of bytes.
        digests: hashes of the texts, if they are already known.
        rows: the row of each text in the data, as a person counts it (n,); None: from 0 on.
    """

    kind = "text"
    shape = ()

    def __init__(self, texts: Sequence[str], digests: Digests | None = None, rows: np.ndarray | None = None) -> None:
        self.texts = texts if isinstance(texts, Texts) else Texts.of(texts)
        self.rows = np.arange(len(self.texts)) if rows is None else rows
        self._digests = digests

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
        digests = None if self._digests is None else self._digests.select(indices)
        return TextInputs(self.texts.select(indices), digests, self.rows[indices.numpy()])

    def hashes(self) -> Digests:
        """Return a hash of each text."""
        if self._digests is None:
            self._digests = self.texts.digests()
        return self._digests

    def ids(self) -> list[str]:
        """Return the row of each text."""
        return [str(row) for row in self.rows.tolist()]
