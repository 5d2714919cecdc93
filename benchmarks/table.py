"""Measure how fast a table of a million texts opens as a domain, and the memory while a model trains on it.

The table is opened in a process of its own. The resident memory is read while batches are drawn at random, turned into
ids of their bytes, and used for steps of a small model. The slope should be about 0.

    python benchmarks/table.py [--rows 1000000] [--batches 4000] [--format csv]
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

PAGE = 4096
#: Rows that are written together; words of a text.
WRITTEN, WORDS = 10_000, 12


def write_table(path: Path, rows: int) -> None:
    """Write texts of twelve random words, a label from 1 to 5, and a shop."""
    import polars as pl

    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])
    with path.with_suffix(".csv").open("w") as file:
        file.write("review,stars,shop\n")
        for first in range(0, rows, WRITTEN):
            texts = words[rng.integers(0, len(words), (min(WRITTEN, rows - first), WORDS))]
            stars = rng.integers(1, 6, len(texts))
            file.writelines(
                f'"{" ".join(text)}, said",{n},shop {n % 3}\n' for text, n in zip(texts, stars, strict=True)
            )
    if path.suffix == ".parquet":
        pl.scan_csv(path.with_suffix(".csv")).sink_parquet(path)


def resident() -> float:
    """Return this process's resident memory, in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def peak() -> float:
    """Return this process's peak memory, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(job: tuple[str, int]) -> dict[str, float | list[float]]:
    """Open a table, hash it, and train on its batches."""
    import torch
    from torch import Tensor, nn

    from landbridge.data.formats import TextFormat
    from landbridge.data.sources import table_samples  # noqa: F401 -- imports are not a part of the time
    from landbridge.data.sources.table import table
    from landbridge.data.streams import JointBatches, StreamIndices, labelled

    class Bytes(TextFormat):
        """The first 64 bytes of each text."""

        def tokenise(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
            ids = torch.tensor([list(text.encode()[:64].ljust(64)) for text in texts])
            return ids, torch.ones_like(ids, dtype=torch.bool)

    file, batches = job
    torch.set_num_threads(1)
    told: dict[str, float | list[float]] = {"before": resident()}
    start, busy = time.perf_counter(), time.process_time()
    domain = table(file, text="review", label="stars", attributes=["shop"])
    told["open"], told["busy"] = time.perf_counter() - start, time.process_time() - busy
    told["peak"], told["after"] = peak(), resident()
    start = time.perf_counter()
    len(domain.fingerprint)
    told["fingerprint"] = time.perf_counter() - start
    train = domain.splits["train"]
    stream = labelled(train.inputs, Bytes("", 64), train.labels.visible("all", 0))
    order = StreamIndices({"target": len(stream.inputs)}, 64, batches, 0)
    joint = JointBatches({"target": stream})
    model = nn.Sequential(nn.EmbeddingBag(256, 32), nn.Linear(32, 5))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sizes: list[float] = []
    start = time.perf_counter()
    for step, indices in enumerate(order):
        batch = joint[indices]["target"]
        loss = nn.functional.cross_entropy(model(batch["x"].tensors[0]), batch["y"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            sizes.append(resident())
    told["train"], told["sizes"] = time.perf_counter() - start, sizes
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=4000)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"reviews.{arguments.format}"
        write_table(path, arguments.rows)
        print(f"{arguments.rows} rows, {path.stat().st_size / 2**20:.0f} MiB as {arguments.format}")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            told = pool.submit(measure, (str(path), arguments.batches)).result()
    sizes = np.array(told["sizes"])
    settled = sizes[len(sizes) // 3 :]
    slope = np.polyfit(np.arange(len(settled)) / 10, settled, 1)[0]
    print(f"opened in {told['open']:.1f} s ({told['busy']:.1f} s of processor time)")
    print(f"fingerprint in {told['fingerprint']:.1f} s")
    print(f"memory: {told['before']:.0f} MiB before, {told['peak']:.0f} MiB at the peak, {told['after']:.0f} MiB after")
    print(f"{arguments.batches} steps in {told['train']:.1f} s: {settled[0]:.0f} MiB at a third, {settled[-1]:.0f} MiB "
          f"at the end, slope {slope:+.2f} MiB per 1000 steps")  # fmt: skip


if __name__ == "__main__":
    main()
