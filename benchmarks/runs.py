"""Single runs in the process of a benchmark, for comparisons that choose among trials between their runs."""

from collections.abc import Sequence
from pathlib import Path


def run_one(job: tuple[Sequence[str], str]) -> str:
    """Run one job in this process, unless its folder already contains the result; return the folder."""
    overrides, folder = job
    import torch
    from hydra import compose, initialize_config_dir

    from landbridge.cli.config_sources import conf_folder, register_groups
    from landbridge.cli.overrides import as_additions
    from landbridge.run.run import run

    torch.set_num_threads(1)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions([*overrides, "logger=none"])), Path(folder), overrides)
    return folder
