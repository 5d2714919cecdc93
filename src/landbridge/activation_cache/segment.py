"""One segment of an entry: tensors in memory-mapped files, and a manifest with their shapes and checksums."""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

MANIFEST = "manifest.json"
# Size in bytes of the blocks of a file. Several threads hash one block each.
BLOCK = 2**24


def write_segment(folder: Path, rows: int, batches: Iterable[Sequence[Tensor]]) -> None:
    """Write batches of rows one after the other, and the manifest last.

    Args:
        folder: an empty folder.
        rows: number of rows of all batches together.
        batches: tensors (b, ...) on any device; every batch has the same number of tensors.

    Raises:
        OSError: the disk is full or not writable.
    """
    files, tensors, written = [], [], 0
    try:
        for batch in batches:
            if not files:
                files = [(folder / f"{number}.bin").open("wb") for number in range(len(batch))]
                tensors = [_describe(tensor) for tensor in batch]
            for file, tensor, about in zip(files, batch, tensors, strict=True):
                file.write(_as_it_lies(tensor.cpu(), about).view(torch.uint8).numpy().data)
            written += len(batch[0])
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files:
            file.close()
    if written != rows:
        raise ValueError(f"{folder}: the batches have {written} rows instead of {rows}")
    for number, about in enumerate(tensors):
        about["digests"] = _digests(folder / f"{number}.bin")
    manifest = json.dumps({"rows": rows, "tensors": tensors})
    draft = folder / f"{MANIFEST}.part"
    draft.write_text(f"{manifest}\n{_digest(manifest.encode())}\n")
    draft.replace(folder / MANIFEST)


def read_segment(folder: Path, checked: bool) -> list[Tensor] | None:
    """Map a segment's tensors into memory.

    Args:
        folder: folder of the segment.
        checked: whether this process has already compared the files with their checksums.

    Returns:
        Tensors (rows, ...), or None if the segment is damaged in any way.
    """
    try:
        text, digest = (folder / MANIFEST).read_text().splitlines()
        manifest = json.loads(text)
        if _digest(text.encode()) != digest:
            return None
        rows, tensors = manifest["rows"], manifest["tensors"]
        return [_map(folder / f"{number}.bin", rows, about, checked) for number, about in enumerate(tensors)]
    except (OSError, ValueError, KeyError):
        return None


def _describe(tensor: Tensor) -> dict[str, Any]:
    lies = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    return {
        "shape": list(tensor.shape[1:]),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "channels_last": lies,
    }


def _as_it_lies(tensor: Tensor, about: dict[str, Any]) -> Tensor:
    if list(tensor.shape[1:]) != about["shape"]:
        raise ValueError(f"one batch has rows of shape {list(tensor.shape[1:])}, the first has {about['shape']}")
    if str(tensor.dtype) != f"torch.{about['dtype']}":
        raise ValueError(f"one batch has rows of {tensor.dtype}, the first of torch.{about['dtype']}")
    return (tensor.permute(0, 2, 3, 1) if about["channels_last"] else tensor).contiguous().flatten()


def _map(path: Path, rows: int, about: dict[str, Any], checked: bool) -> Tensor:
    shape, dtype = about["shape"], getattr(torch, about["dtype"])
    size = rows * math.prod(shape) * dtype.itemsize
    if path.stat().st_size != size:
        raise ValueError(f"the size of {path} differs from the manifest")
    if not checked and _digests(path) != about["digests"]:
        raise ValueError(f"the content of {path} differs from the manifest")
    if about["channels_last"]:
        channels, height, width = shape
        return _tensor(path, (rows, height, width, channels), dtype).permute(0, 3, 1, 2)
    return _tensor(path, (rows, *shape), dtype)


def _tensor(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    # Copy on write: changes of the tensor do not reach the file.
    return torch.from_numpy(np.memmap(path, mode="c")).view(dtype).view(shape)


def _digests(path: Path) -> list[str]:
    content = np.memmap(path, mode="r")
    blocks = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(_digest, (block.data for block in blocks)))


def _digest(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
