"""Measure the peak memory of a run on an image folder, with few images and with ten times as many.

Workers read each photograph when it is needed, and never hold all photographs. So the ratio should be about 1.

    python benchmarks/image_folder_memory.py [--images 200] [--factor 10]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

MEASURE = """
import resource, sys
from landbridge.__main__ import main
try:
    main()
finally:
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("PEAK", *peaks)
"""


def write_images(root: Path, count: int, side: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        folder = root / ("cats", "dogs")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((side, side)).save(folder / f"{number:05d}.jpg", quality=90)


def peak(root: Path, folder: Path) -> tuple[float, float]:
    """Return the peak memory of the main process and of its largest worker, in MiB."""
    arguments = [
        "target=image_folder", f"target.root={root}", "strategy=fine_tune", "target_labels=all", "backbone=test_resnet",
        "trainer.max_epochs=1", "logger=none", "trainer.accelerator=cpu", f"hydra.run.dir={folder}",
    ]  # fmt: skip
    command = [sys.executable, "-c", MEASURE, *arguments]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    own, workers = next(line for line in lines if line.startswith("PEAK")).split()[1:]
    return int(own) / 1024, int(workers) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--factor", type=int, default=10)
    parser.add_argument("--side", type=int, default=512, help="pixels; 512 x 512 RGB is 0.75 MiB decoded")
    arguments = parser.parse_args()
    peaks = {}
    with tempfile.TemporaryDirectory() as place:
        for count in (arguments.images, arguments.images * arguments.factor):
            root = Path(place) / str(count)
            write_images(root, count, arguments.side)
            peaks[count] = peak(root, Path(place) / f"run-{count}")
            decoded = count * arguments.side**2 * 3 / 2**20
            print(f"{count:6d} images ({decoded:7.0f} MiB decoded): "
                  f"main process {peaks[count][0]:6.0f} MiB, largest worker {peaks[count][1]:6.0f} MiB")  # fmt: skip
    (few, many) = peaks.values()
    print(f"ratio for {arguments.factor} times the images: main {many[0] / few[0]:.2f}, worker {many[1] / few[1]:.2f}")


if __name__ == "__main__":
    main()
