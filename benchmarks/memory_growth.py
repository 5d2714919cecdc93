"""Measure the growth of a run's memory from its first epochs to its last, for every strategy.

Each strategy trains in its own process. The resident memory is read at the end of every epoch. The growth is the slope
from one third of the run to its end. The memory of a strategy that kept batches, losses or graphs would grow with the
number of steps.

    python benchmarks/memory_growth.py [--strategies dann shot] [--epochs 30] [--steps 20]
"""

import argparse
import gc
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

PAGE = 4096


def resident() -> float:
    """Return this process's resident memory, in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def measure(job: tuple[str, int, int]) -> list[float]:
    """Train one strategy and return the memory at the end of every epoch, in MiB."""
    strategy, epochs, steps = job
    import torch
    from hydra import compose, initialize_config_dir

    from landbridge.cli.config_sources import conf_folder, register_groups
    from landbridge.cli.overrides import as_additions
    from landbridge.run.epochs import Epochs
    from landbridge.run.run import run

    torch.set_num_threads(1)
    sizes: list[float] = []
    end = Epochs.on_train_epoch_end

    def read_at_end(self: Epochs, *arguments) -> None:
        end(self, *arguments)
        gc.collect()
        sizes.append(resident())

    Epochs.on_train_epoch_end = read_at_end
    register_groups()
    overrides = [f"strategy={strategy}", f"trainer.max_epochs={epochs}", f"data.steps_per_epoch={steps}"]
    overrides += ["logger=none", *needs(strategy)]
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions(overrides)), Path(folder), overrides)
    # If a source model is trained first, its epochs come before those of the strategy.
    return sizes[-epochs:]


def needs(strategy: str) -> list[str]:
    """Return the settings that a strategy needs in order to train."""
    from omegaconf import OmegaConf

    from landbridge.cli.config_sources import conf_folder
    from landbridge.config.signatures import locate

    node = OmegaConf.load(conf_folder() / "strategy" / f"{strategy}.yaml")
    requirements = locate(node.get("strategy", node)["_target_"]).requirements
    from_source = requirements.source_model or requirements.source_classifier
    labels = ["target_labels=1"] if "target" in requirements.streams else []
    return labels + (["start=source", "start.max_epochs=1"] if from_source else [])


def main() -> None:
    from landbridge.cli.config_sources import conf_folder

    # A soup takes no training steps; it averages existing runs.
    names = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml") if path.stem != "soup")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", nargs="+", default=names)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    jobs = [(name, arguments.epochs, arguments.steps) for name in arguments.strategies]
    print(f"{'strategy':18} {'at a third, MiB':>16} {'at the end, MiB':>16} {'slope, MiB per 100 steps':>26}")
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name, sizes in zip(arguments.strategies, pool.map(measure, jobs), strict=True):
            settled = sizes[len(sizes) // 3 :]
            if len(settled) < 3:
                print(f"{name:18} {'takes no steps' if not sizes else 'too few epochs':>16}")
                continue
            slope = np.polyfit(np.arange(len(settled)) * arguments.steps / 100, settled, 1)[0]
            print(f"{name:18} {settled[0]:16.1f} {settled[-1]:16.1f} {slope:26.3f}", flush=True)


if __name__ == "__main__":
    main()
