"""Sweeps as a user types them, in this process, with one helper process for all tests."""

import logging
import os
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from landbridge.__main__ import main
from landbridge.sweeps import pool
from landbridge.sweeps.helper import Helper

TINY = ("--config-dir", str(Path(__file__).parents[1] / "conf"), "experiment=tiny")


@pytest.fixture(scope="session")
def helper_folder(tmp_path_factory):
    """The folder in which the helper and its jobs work."""
    return tmp_path_factory.mktemp("helper")


@pytest.fixture(scope="session")
def helper(helper_folder):
    """A helper process like any other, but for a lock that is none."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(helper_folder)
        helper = Helper(nothing, warm=True)
    close = helper.close
    helper.close = lambda: None  # sweeps come and go, it stays
    yield helper
    close()
    os.close(nothing)


@pytest.fixture
def sweep(helper, tmp_path, monkeypatch, capsys):
    """A function that runs a sweep of tiny jobs, and returns its exit code and what it prints."""
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
        told = capsys.readouterr()
        return code, told.out + told.err

    yield typed
    for handler in {*root.handlers} - {*handlers}:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()
