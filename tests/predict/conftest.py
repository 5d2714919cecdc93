"""Data for predictions: photographs, and the same numbers as an archive and as a table."""

import csv

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write 24 images of two classes and different sizes."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data") / "photos"
    for name in ("ants", "bees"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 255, (40 + number, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Write the same 60 vectors as an archive and as a table; return the folder and the vectors."""
    folder = tmp_path_factory.mktemp("numbers")
    x = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    np.savez(folder / "v.npz", x=x, y=np.where(x[:, 0] > 0, "yes", "no"))
    names = ["a", "b", "c", "price", "kind", "tags"]
    rows = [
        [*map(repr, map(float, row)), 1000 + 300 * row[0], ("mug", "bag")[int(row[1] > 0)], ("red|big", "big")[k % 2]]
        for k, row in enumerate(x)
    ]
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return folder, x
