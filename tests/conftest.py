"""What many tests share: composing as the command line does, and a transfer that takes a fraction of a second."""

from functools import cache
from pathlib import Path

import hydra
import pytest
import torch
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from landbridge.groups import as_additions, conf_folder, register_groups
from landbridge.record import Record
from landbridge.run import run

TESTS = Path(__file__).parent

# One thread is faster for small tensors, and sums in the same order on every machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compose():
    """A function that composes `train.yaml` with overrides as they are typed, and `tests/conf` as `--config-dir`."""

    @cache
    def composed(*overrides: str, config_dir: Path = TESTS / "conf") -> DictConfig:
        arguments = ["--config-dir", str(config_dir)]
        register_groups(arguments)
        typed = as_additions([*arguments, *overrides])[len(arguments) :]
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            cfg = hydra.compose("train", [f"hydra.searchpath=[file://{config_dir},timm://models]", *typed])
        OmegaConf.set_readonly(cfg, True)  # it is shared, and nothing may change it (C15)
        return cfg

    return composed


@pytest.fixture
def tiny(compose, tmp_path):
    """A function that runs the smallest transfer, with overrides, in a folder of this test."""

    def launch(*overrides: str, folder: str = "run") -> Record:
        return run(compose("experiment=tiny", *overrides), tmp_path / folder, overrides)

    return launch
