"""Fixtures for many tests: composed configurations, short transfers and short sweeps."""

import logging
import os
import sys
from functools import cache
from pathlib import Path

import hydra
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from landbridge.__main__ import main
from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.cli.overrides import as_additions
from landbridge.record import Record
from landbridge.run.run import run
from landbridge.sweeps import pool
from landbridge.sweeps.helper_process import Helper
from places import TESTS, TINY

# One thread is faster for small tensors, and sums are in the same order on every machine. The environment variable
# does the same for child processes of a test.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def compose():
    """Return a function that composes `train.yaml` with typed overrides, and with `tests/conf` as `--config-dir`."""

    @cache
    def composed(*overrides: str, config_dir: Path = TESTS / "conf") -> DictConfig:
        arguments = ["--config-dir", str(config_dir)]
        register_groups(arguments)
        typed = as_additions([*arguments, *overrides])[len(arguments) :]
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            cfg = hydra.compose("train", [f"hydra.searchpath=[file://{config_dir},timm://models]", *typed])
        OmegaConf.set_readonly(cfg, True)  # several tests share the same object
        return cfg

    return composed


@pytest.fixture
def tiny(compose, tmp_path):
    """Return a function that runs the smallest transfer, with overrides, in the test's folder."""

    def launch(*overrides: str, folder: str = "run") -> Record:
        return run(compose("experiment=tiny", *overrides), tmp_path / folder, overrides)

    return launch


@pytest.fixture(scope="session")
def helper_folder(tmp_path_factory):
    """Return the working folder of the helper and its jobs."""
    return tmp_path_factory.mktemp("helper")


@pytest.fixture(scope="session")
def helper(helper_folder):
    """Start one helper process for all tests, without a real lock."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(helper_folder)
        helper = Helper(nothing, warm=True)
    close = helper.close
    helper.close = lambda: None  # the helper stays open when a sweep ends
    yield helper
    close()
    os.close(nothing)


@pytest.fixture
def sweep(helper, tmp_path, monkeypatch, capsys):
    """Return a function that runs a sweep of tiny jobs and returns its exit code and printed text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "Helper", lambda lock, warm: helper)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def typed(*arguments: str, base: tuple[str, ...] = TINY) -> tuple[int, str]:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["landbridge", "-m", *base, "hydra.sweep.dir=sweep", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    yield typed
    for handler in {*root.handlers} - {*handlers}:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()


@pytest.fixture
def main_here(tmp_path, monkeypatch):
    """Return a function that runs the command in this process, which saves the start-up time of a new one."""
    monkeypatch.chdir(tmp_path)
    # A command that is refused replaces this hook, and pytest would no longer see errors in destructors.
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def typed(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["landbridge", *arguments])
        main()

    yield typed
    for handler in {*root.handlers} - {*handlers}:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()
