"""Composes a configuration in Python, as the command line does."""

from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.cli.overrides import as_additions


def compose(overrides: Sequence[str] = (), config_dir: Path | str | None = None) -> DictConfig:
    """Return the configuration of a command, such as `compose(["target=uci_digits", "source=null", "seed=1"])`.

    It works in a notebook, any number of times.

    Args:
        overrides: what one types after `landbridge`.
        config_dir: a folder with configuration files of your own, as `--config-dir` names.

    Raises:
        LandbridgeError: a chosen option does not exist.
    """
    return composed(overrides, config_dir)[0]


def composed(overrides: Sequence[str], config_dir: Path | str | None = None) -> tuple[DictConfig, dict[str, str]]:
    """Return the configuration of a command, and the option of each config group, for the record; see `compose`."""
    own = ["--config-dir", str(config_dir)] if config_dir else []
    register_groups(own)
    typed = as_additions([*own, *overrides])[len(own) :]
    path = [f"file://{Path(config_dir).absolute()}"] if config_dir else []
    search = f"hydra.searchpath=[{','.join([*path, 'timm://'])}]"
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        whole = hydra.compose("train", [search, *typed], return_hydra_config=True)
    chosen = whole.hydra.runtime.choices
    choices = {group: choice for group, choice in chosen.items() if choice and "/" not in group}
    with open_dict(whole):
        del whole["hydra"]
    OmegaConf.resolve(whole)
    return whole, choices
