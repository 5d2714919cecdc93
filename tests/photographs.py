"""Folders of small colour photographs, as PNG and JPEG files, which worker processes decode."""

from pathlib import Path

import numpy as np
from PIL import Image


def photographs(folder: Path, seed: int = 0, each: int = 20) -> Path:
    """Write `each` photographs of three classes, and return the folder. The classes differ in one colour."""
    rng = np.random.default_rng(seed)
    for channel, label in enumerate(("blue", "green", "red")):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 200, (40, 36, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 50
            Image.fromarray(pixels).save(folder / label / f"{number}.{'jpg' if number % 2 else 'png'}")
    return folder
