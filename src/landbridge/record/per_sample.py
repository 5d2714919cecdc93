"""What a record holds of every test sample: its value, and which sample it is."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def pack_scores(scores: "np.ndarray", whole: bool) -> dict[str, Any]:
    """Write the value of each test sample (n,) for a record.

    Args:
        scores: one a sample, in the order of the split.
        whole: whether every value is 0 or 1; a bit each is then enough.
    """
    import numpy as np

    content = np.packbits(scores.astype(bool)) if whole else scores.astype("<f4")
    return {"correct" if whole else "sample_scores": base64.b64encode(content.tobytes()).decode()}


def unpack_scores(result: Mapping[str, Any]) -> "np.ndarray":
    """Return the value of each test sample (n,), higher is better, from the metrics of a record."""
    import numpy as np

    if "sample_scores" in result:
        return np.frombuffer(base64.b64decode(result["sample_scores"]), dtype="<f4").astype(float)
    bits = np.frombuffer(base64.b64decode(result["correct"]), dtype=np.uint8)
    return np.unpackbits(bits, count=result["n"]).astype(float)


def pack_items(items: "np.ndarray") -> dict[str, Any]:
    """Write which samples of its domain a test split holds, for a record.

    Args:
        items: positions from `Domain.items` (n,), in the order of the split.
    """
    return {"items": base64.b64encode(items.astype("<i4").tobytes()).decode()}


def unpack_items(result: Mapping[str, Any]) -> "np.ndarray | None":
    """Return which samples of the domain were tested (n,), in the order of `unpack_scores`.

    Equal numbers of two runs are the same sample if `data.<role>.samples` of both records are equal.

    Args:
        result: the metrics of one role of a record.

    Returns:
        Positions among all samples of the domain, sorted by content; None for a record of an older version.
    """
    import numpy as np

    if "items" not in result:
        return None
    return np.frombuffer(base64.b64decode(result["items"]), dtype="<i4").astype(np.int64)
