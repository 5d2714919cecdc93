"""Packs of the smallest runs, for tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from landbridge.packs.pack import Work, run_pack
from landbridge.record import Record
from landbridge.run.run import run

#: Heads on frozen features, from a cache.
FROZEN = ("experiment=tiny", "freeze.depth=all", "cache=activations", "trainer.max_epochs=3", "data.steps_per_epoch=3")


class Packing:
    """Runs the same members packed and alone.

    Args:
        compose: composes a configuration from overrides.
        folder: folder of all runs.
        common: overrides of all members.
        members: the overrides in which members differ.
    """

    def __init__(
        self, compose: Callable, folder: Path, common: Sequence[str], members: Sequence[Sequence[str]]
    ) -> None:
        common = (*FROZEN, *([] if "cache=off" in common else [f"cache.path={folder / 'cache'}"]), *common)
        self.configs = [compose(*common, *each) for each in members]
        self.folder = folder

    def works(self, name: str) -> list[Work]:
        """Return the members in folders that begin with a name."""
        plain: list[Any] = [OmegaConf.to_container(config, resolve=True) for config in self.configs]
        return [Work(config, self.folder / f"{name}{number}") for number, config in enumerate(plain)]

    def packed(self, name: str = "packed") -> list[Record]:
        """Run all members in one pack, and return their records."""
        run_pack(self.works(name))
        return self.records(name)

    def alone(self, name: str = "alone") -> list[Record]:
        """Run the members one after the other."""
        return [run(config, self.folder / f"{name}{number}") for number, config in enumerate(self.configs)]

    def records(self, name: str = "packed") -> list[Record]:
        return [Record.read(work.folder) for work in self.works(name)]

    def checkpoint(self, name: str, number: int, file: str = "last.ckpt") -> dict:
        return torch.load(self.folder / f"{name}{number}" / file, map_location="cpu", weights_only=True)
