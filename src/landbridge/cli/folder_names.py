"""Hydra's name of a run after its overrides, as they were typed."""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from landbridge.cli.overrides import as_typed


class TypedFolderNames(Callback):
    """Names folders that use `${hydra.job.override_dirname}` without the prefix that `overrides.as_additions` adds."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Rewrite the name, before Hydra makes the folder."""
        name_as_typed(config)


def name_as_typed(config: DictConfig) -> None:
    """Rewrite `hydra.job.override_dirname` of a composed configuration."""
    job = config.hydra.job
    separator = job.config.override_dirname.item_sep
    # Values may contain interpolations, which are left as they are.
    plain: Any = OmegaConf.to_container(job)
    name: str = plain["override_dirname"]
    with read_write(job):
        job.override_dirname = separator.join(as_typed(name.split(separator)))
