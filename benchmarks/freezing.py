"""Measure the time that a cache of activations saves, as ratios of times measured alternately in one process.

The data are photographs of Office-Caltech10 at 128 x 128 pixels, from the folder in LANDBRIDGE_DATA. The backbone is
efficientnet_lite0 with ImageNet weights.

(a) An epoch of a linear probe without a cache is compared to an epoch with a cache.
(b) A whole sweep of linear probes over 8 learning rates and 5 seeds is compared to one pass of the backbone over the
    data. The sweep starts with an empty cache. It is measured as 5 runs that train 8 heads each at the same time, and
    as 40 runs of one head each.
(c) For every freezing depth, an epoch without a cache is compared to an epoch with a cache. The bound is the speed-up
    that the time of the frozen stages' forward pass predicts. The measured speed-up can be above the bound, because
    with a cache photographs are not decoded again.

    LANDBRIDGE_DATA=... python benchmarks/freezing.py [--domain amazon] [--parts abc] [--repeats 3] [--sweep-epochs 20]
"""

import argparse
import logging
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.cli.overrides import as_additions
from landbridge.config.build import build
from landbridge.data.domain import Domain
from landbridge.models.backbones.timm_models import Timm
from landbridge.record import Record
from landbridge.run.run import run

SIZE = "backbone.options={pretrained_cfg_overlay: {input_size: [3, 128, 128]}}"
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
SEEDS = range(5)


def config(root: Path, *overrides: str) -> DictConfig:
    fixed = ["target=image_folder", f"target.root={root}", "backbone=efficientnet_lite0", SIZE, "start=pretrained"]
    fixed += ["target_labels=all", "selection=target_val", "logger=none", "trainer=cpu"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", as_additions([*fixed, *overrides]))


def launch(root: Path, *overrides: str) -> Record:
    return launch_composed(config(root, *overrides))


def launch_composed(cfg: DictConfig) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        return run(cfg, Path(folder))


def epoch_seconds(record: Record) -> float:
    return statistics.median(row["seconds"] for row in record.epochs)


def network(root: Path) -> tuple[Timm, Domain]:
    cfg = config(root, "strategy=linear_probe")
    backbone = build(cfg.backbone)
    backbone.load_state_dict(backbone.pretrained_state(None)[0], strict=False)
    return backbone.eval(), build(cfg.target)


def batches(domain: Domain, backbone: Timm, splits: tuple[str, ...], size: int) -> Iterator[torch.Tensor]:
    for split in splits:
        inputs = domain.splits[split].inputs
        for indices in torch.arange(len(inputs)).split(size):
            yield backbone.format.normalised(inputs.read(indices, backbone.format)[0])


@torch.inference_mode()
def one_pass(root: Path) -> float:
    """Return the seconds for decoding every photograph once and running the backbone on it."""
    backbone, domain = network(root)
    began = time.perf_counter()
    for x in batches(domain, backbone, ("train", "val", "test"), 256):
        backbone(x)
    return time.perf_counter() - began


@torch.inference_mode()
def prefix_seconds(root: Path, depth: int) -> float:
    """Return the seconds of the first stages alone, with the samples and batch sizes of one epoch."""
    backbone, domain = network(root)
    prefix, seconds = backbone.segment(0, depth), 0.0
    for splits, size in ((("train",), 64), (("val",), 256)):
        for x in batches(domain, backbone, splits, size):
            began = time.perf_counter()
            prefix((x,))
            seconds += time.perf_counter() - began
    return seconds


def in_turns(repeats: int, *measured: Callable[[], float]) -> list[float]:
    """Return the median of each measurement; the measurements alternate."""
    rows = [[each() for each in measured] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def part_a(root: Path, store: str, repeats: int) -> None:
    warm = ["strategy=linear_probe", f"cache.path={store}"]
    launch(root, *warm, "trainer.max_epochs=1")
    without, cached = in_turns(
        repeats,
        lambda: epoch_seconds(launch(root, "strategy=linear_probe", "cache=off", "trainer.max_epochs=1")),
        lambda: epoch_seconds(launch(root, *warm, "trainer.max_epochs=9")),
    )
    print(f"(a) an epoch of linear_probe: {without:.2f} s without a cache, {cached:.4f} s with a warm cache", end=": ")
    print(f"{without / cached:.0f} times as fast (target: 50)", flush=True)


def part_b(root: Path, epochs: int) -> None:
    first, *others = RATES
    factors = ",".join(f"{rate / first:g}" for rate in others)
    together = ["strategy=linear_probes", f"optimizer.lr={first}", f"strategy.factors=[{factors}]"]
    ways = {
        "8 heads each": [[*together, f"seed={seed}"] for seed in SEEDS],
        "one head each": [
            ["strategy=linear_probe", f"optimizer.lr={rate}", f"seed={seed}"] for rate in RATES for seed in SEEDS
        ],
    }
    print(f"(b) 8 learning rates x 5 seeds, {epochs} epochs, cold cache included (target: at most 2 passes)")
    for way, overrides in ways.items():
        sweep_against_pass(root, way, [[*each, f"trainer.max_epochs={epochs}"] for each in overrides])


def sweep_against_pass(root: Path, way: str, overrides: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as store:
        # A sweep composes all its jobs before the first one starts.
        began = time.perf_counter()
        jobs = [config(root, *each, f"cache.path={store}") for each in overrides]
        composing = time.perf_counter() - began
        before = one_pass(root)
        began = time.perf_counter()
        for job in jobs:
            launch_composed(job)
        sweep = time.perf_counter() - began
    passed = statistics.mean([before, one_pass(root)])
    runs = len(jobs)
    print(f"    {runs:2} runs, {way}: {sweep:.1f} s, one backbone pass: {passed:.1f} s", end=": ")
    print(f"{sweep / passed:.2f} passes; {(sweep - passed) / runs:.2f} s per run in addition to the pass", end="; ")
    print(f"composing all configurations: {composing:.1f} s", flush=True)


def part_c(root: Path, store: str, repeats: int) -> None:
    print("(c) an epoch of fine_tune after frozen stages: seconds without and with a cache, speed-up, bound,")
    print("    speed-up / bound (target: 0.85)")
    stages = network(root)[0].stages
    for depth in range(1, len(stages) + 1):
        settings = ["strategy=fine_tune", f"freeze.depth={depth}", "trainer.max_epochs=2"]
        cached = [*settings, f"cache.path={store}"]
        launch(root, *cached, "trainer.max_epochs=1")
        without, warm, frozen = in_turns(
            repeats,
            lambda settings=settings: epoch_seconds(launch(root, *settings, "cache=off")),
            lambda cached=cached: epoch_seconds(launch(root, *cached)),
            lambda depth=depth: prefix_seconds(root, depth),
        )
        gain, bound = without / warm, without / max(without - frozen, 1e-9)
        times = f"{without:7.2f} {warm:7.3f}   {gain:6.2f}  {bound:6.2f}  {gain / bound:5.2f}"
        print(f"    {depth} {stages[depth - 1]:24}{times}", flush=True)


def unpack(domain: str, folder: Path) -> Path:
    """Unpack the photographs of a domain and return their folder; `all` joins the photographs of all four domains."""
    if "LANDBRIDGE_DATA" not in os.environ:
        sys.exit("LANDBRIDGE_DATA is not set; set it to the folder that contains office_caltech10_128.tar.")
    data = Path(os.environ["LANDBRIDGE_DATA"])
    with tarfile.open(data / "office_caltech10_128.tar") as tar:
        tar.extractall(folder, filter="data")
    root = folder / "office_caltech10_128"
    if domain != "all":
        return root / domain
    for path in sorted(root.glob("*/*/*")):
        place = folder / "all" / path.parts[-2]
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / f"{path.parts[-3]}_{path.name}")
    return folder / "all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", default="amazon", choices=["amazon", "caltech10", "dslr", "webcam", "all"])
    parser.add_argument("--parts", default="abc")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sweep-epochs", type=int, default=20)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    register_groups()
    with tempfile.TemporaryDirectory() as folder:
        root, store = unpack(arguments.domain, Path(folder)), f"{folder}/store"
        print(f"{arguments.domain}, {torch.get_num_threads()} threads, medians of {arguments.repeats} alternating runs")
        if "a" in arguments.parts:
            part_a(root, store, arguments.repeats)
        if "b" in arguments.parts:
            part_b(root, arguments.sweep_epochs)
        if "c" in arguments.parts:
            part_c(root, store, arguments.repeats)


if __name__ == "__main__":
    main()
