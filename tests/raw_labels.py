"""Raw data of every kind of domain with given labels, and garbage for the labels that a run does not see.

A test writes the same samples twice, with true labels and with garbage, before any domain is made. So it covers what
making a domain does with labels, above all its splits.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dusk import CLASSES, drawn
from dusk_text import CLASSES as MOODS
from dusk_text import chatter
from landbridge.data.domain import Domain
from landbridge.data.split_domain import split_domain

N = 60
SHARES = {"val": 0.2, "test": 0.2}
#: True class of each sample, by number of classes.
TRUTH = {k: [index % k for index in range(N)] for k in (2, 3)}


def images(labels: Sequence[int], name: str, seed: int = 0, split_seed: int = 0) -> Domain:
    """Make a domain of the images of `dusk` in memory."""
    inputs = drawn(name, 0.5, N, seed)[0]
    return split_domain(name, CLASSES, inputs, torch.tensor(list(labels)), **SHARES, seed=split_seed)


def in_memory(folder: Path, labels: Sequence[int]) -> list[str]:
    return ["target=raw_images", f"target.labels={list(labels)}"]


def image_folder(folder: Path, labels: Sequence[int]) -> list[str]:
    for number, (image, label) in enumerate(zip(_pictures(), labels, strict=True)):
        file = folder / "photos" / CLASSES[label] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return ["target=image_folder", f"target.root={folder / 'photos'}"]


def image_table(folder: Path, labels: Sequence[int]) -> list[str]:
    for number, image in enumerate(_pictures()):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    rows = [f"{number:02}.png,{CLASSES[label]}" for number, label in enumerate(labels)]
    return _table(folder, ["path,kind", *rows], "image=path", "label=kind")


def vectors(folder: Path, labels: Sequence[int]) -> list[str]:
    for file, shift, y in (("source", 0.0, TRUTH[3]), ("target", 0.5, labels)):
        np.savez(folder / f"{file}.npz", x=_numbers(shift), y=np.array(y))
    return ["target=vectors", f"target.file={folder / 'target.npz'}", *_numbers_as_source(folder)]


def number_table(folder: Path, labels: Sequence[int]) -> list[str]:
    np.savez(folder / "source.npz", x=_numbers(0.0), y=np.array([str(label) for label in TRUTH[3]]))
    rows = [f"{','.join(map(str, row))},{label}" for row, label in zip(_numbers(0.5).tolist(), labels, strict=True)]
    return [
        *_table(folder, ["a,b,c,d,kind", *rows], "numbers=all", "label=kind"),
        *_numbers_as_source(folder),
    ]


def text_table(folder: Path, labels: Sequence[int]) -> list[str]:
    texts = [text for part in chatter("chatter", N).splits.values() for text in part.inputs.texts]
    rows = [json.dumps({"text": text, "mood": MOODS[label]}) for text, label in zip(texts, labels, strict=True)]
    overrides = _table(folder, rows, "text=text", "label=mood", ending="jsonl")
    return [*overrides, "source=murmur", "backbone=tiny_bert", "data.workers=0"]


def union(folder: Path, labels: Sequence[int]) -> list[str]:
    """Join two domains; the labels are those of the first and then those of the second."""
    halves = {"raw_images": list(labels[:N]), "raw_evening": list(labels[N:])}
    return ["target=raw_images+raw_evening", *(f"target.domains.{name}.labels={each}" for name, each in halves.items())]


Writer = Callable[[Path, Sequence[int]], list[str]]
#: By kind of domain, the true labels, and what writes samples with labels and returns the overrides of the domain.
KINDS: Mapping[str, tuple[list[int], Writer]] = {
    "images in memory": (TRUTH[3], in_memory),
    "image folder": (TRUTH[3], image_folder),
    "images of a table": (TRUTH[3], image_table),
    "vectors": (TRUTH[3], vectors),
    "numbers of a table": (TRUTH[3], number_table),
    "texts of a table": (TRUTH[2], text_table),
    "union": (TRUTH[3] * 2, union),
}


def garbled(domain: Domain, truth: Sequence[int], budget: int | str, seed: int = 0) -> list[int]:
    """Return the labels with another class wherever neither the budget nor the choice of visible samples reads one.

    A sample is hidden if its class has shown enough samples before it. As another class that has, it is still hidden.

    Args:
        domain: with the true labels.
        truth: class of each raw sample.
        budget: number of visible labels per class, or `all`.
        seed: of the run.
    """
    labels = list(truth)
    rng = np.random.default_rng(1)
    # Rows of some files are counted from 1 or 2 on.
    first = min(_row(name) for part in domain.splits.values() for name in part.inputs.ids())
    for split, part in domain.splits.items():
        rows = [row - first for row in map(_row, part.inputs.ids())]
        shown = dict.fromkeys(set(truth), 0)
        for place in torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist():
            label = truth[rows[place]]
            enough = {each for each, count in shown.items() if split == "test" or (budget != "all" and count >= budget)}
            if label in enough and (others := sorted(enough - {label})):
                labels[rows[place]] = int(rng.choice(others))
            shown[label] += 1
    return labels


def _row(name: str) -> int:
    """Return the number of a raw sample from its id: of a file, of a row in memory, of a row in a table, of a part."""
    part, number = re.fullmatch(r"(?:(\w+):)?(?:.*/)?(\d+)(?:\.png)?", name).groups()
    return int(number) + N * (part == "raw_evening")


def _pictures() -> list[np.ndarray]:
    return [image[0].numpy() for image in drawn("dusk", 0.5, N, 0)[0].tensor]


def _numbers(shift: float) -> np.ndarray:
    rng = np.random.default_rng(int(10 * shift))
    return rng.normal(size=(N, 4)).astype(np.float32).round(3) + np.array(TRUTH[3])[:, None] + np.float32(shift)


def _numbers_as_source(folder: Path) -> list[str]:
    return ["source=vectors", f"source.file={folder / 'source.npz'}", "backbone=mlp"]


def _table(folder: Path, rows: Sequence[str], *settings: str, ending: str = "csv") -> list[str]:
    (folder / f"rows.{ending}").write_text("\n".join(rows) + "\n")
    return ["target=table", f"target.file={folder / f'rows.{ending}'}", *(f"target.{each}" for each in settings)]
