"""Writes the graph of a model, as ONNX or as torch.export does, and compares the written file with the model."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.export.deployed import TRACED, Deployed

#: Largest difference between the outputs of a written file and those of the model, relative to the largest output or 1.
TOLERANCE = 1e-4
#: Numbers of samples that a written file is tried with.
TRIED = (1, 2, 5)
#: Files of ONNX cannot be larger; larger models get a file of weights beside them.
ONE_FILE = 1_800_000_000


def write_onnx(model: Deployed, path: Path, metadata: dict[str, str]) -> float:
    """Write an ONNX file, and compare it with the model in onnxruntime.

    Args:
        model: the model in evaluation mode.
        path: the file.
        metadata: texts that travel along, by key.

    Returns:
        The largest difference of an output.

    Raises:
        LandbridgeError: a package is missing, the model cannot be exported, or the file computes something else.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise LandbridgeError(f"ONNX needs the package {missing[0]}: pip install 'landbridge[export]'")
    import onnxruntime

    with _quiet(), _explained("ONNX"):
        program: Any = torch.onnx.export(
            model,
            model.example(TRACED),
            dynamo=True,
            input_names=list(model.inputs),
            output_names=model.outputs,
            dynamic_shapes=model.sizes(),
            verbose=False,
        )
        program.model.metadata_props.update(metadata)
        size = sum(each.numel() * each.element_size() for each in model.state_dict().values())
        program.save(str(path), external_data=size > ONE_FILE)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(raw: tuple[Tensor, ...]) -> list[np.ndarray]:
        given = zip(model.inputs, raw, strict=True)
        return session.run(model.outputs, {name: each.numpy() for name, each in given})  # pyright: ignore

    with _explained("ONNX"):
        return _compared(model, run, path)


def write_exported_program(model: Deployed, path: Path, metadata: dict[str, str]) -> float:
    """Write a file that `torch.export.load` reads, and compare it with the model; see `write_onnx`.

    The metadata become extra files of the archive.
    """
    with _quiet(), _explained("torch.export"):
        program = torch.export.export(model, model.example(TRACED), dynamic_shapes=model.sizes())
        torch.export.save(program, path, extra_files=dict(metadata))
        again: Any = torch.export.load(path).module()
    with _explained("torch.export"):
        return _compared(model, lambda raw: [each.numpy() for each in again(*raw)], path)


@torch.no_grad()
def _compared(model: Deployed, run: Callable[[tuple[Tensor, ...]], list[np.ndarray]], path: Path) -> float:
    largest = 0.0
    for n in TRIED:
        raw = model.example(n, seed=n)
        for name, wanted, got in zip(model.outputs, model(*raw), run(raw), strict=True):
            unit = max(1.0, float(wanted.abs().max()))
            difference = float(np.abs(wanted.numpy() - got).max()) / unit
            if not difference <= TOLERANCE:
                raise LandbridgeError(
                    f"{path}: {name} differ from those of the model by {difference:.1e} for {n} samples"
                )
            largest = max(largest, difference)
    return largest


@contextmanager
def _explained(kind: str) -> Iterator[None]:
    """Turn an exporter's error into one sentence: the exporters raise errors of many classes, of many lines."""
    try:
        yield
    except LandbridgeError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise LandbridgeError(f"this model cannot be exported as {kind} ({type(error).__name__}: {reason})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' warnings about their own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
