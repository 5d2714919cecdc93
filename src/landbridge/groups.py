"""What landbridge adds to Hydra's config groups and overrides, without importing anything heavy."""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

ROLES = ("source", "target")
DOMAIN = "domain"
OVERRIDE = re.compile(r"^\+?([A-Za-z_]\w*)([.\w]*)=")


def conf_folder() -> Path:
    """Return the configuration folder: the checkout's own, or the one inside an installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def config_folders(arguments: Sequence[str] = ()) -> list[Path]:
    """Return the folders that configuration comes from: ours, and the user's `--config-dir`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    own = parser.parse_known_args(list(arguments))[0].config_dir
    return [conf_folder(), *([Path(own).absolute()] if own else [])]


def register_groups(arguments: Sequence[str] = ()) -> None:
    """Show every file of `domain/` under both `source` and `target`, and any timm model under `backbone`.

    Args:
        arguments: of the command line; a folder named there by `--config-dir` may hold domains too.
    """
    store = ConfigStore.instance()
    for folder in config_folders(arguments):
        for path in sorted((folder / DOMAIN).glob("*.yaml")):
            for role in ROLES:
                store.store(name=path.stem, group=role, node=OmegaConf.load(path), provider="landbridge")
    Plugins.instance().register(TimmModels)


def as_additions(arguments: Sequence[str]) -> list[str]:
    """Let a setting be typed whether or not a YAML file lists it: `a.b=1` and `+a.b=1` become Hydra's `++a.b=1`.

    Defaults live in Python signatures and YAML files hold only what differs, so Hydra itself cannot know which settings
    exist; `check` does, and names the nearest one. Choices of a group and Hydra's own settings stay as they are.
    """
    groups = {*ROLES, "experiment", "hydra"}
    for folder in config_folders(arguments):
        groups |= {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()

    def addition(argument: str) -> str:
        match = OVERRIDE.match(argument)
        if not match or match[1] == "hydra" or (not match[2] and match[1] in groups):
            return argument
        return f"++{argument.removeprefix('+')}"

    return [addition(argument) for argument in arguments]


def as_typed(overrides: Iterable[str]) -> list[str]:
    """Undo `as_additions`, for records."""
    return [override.removeprefix("++") for override in overrides]


class TimmModels(ConfigSource):
    """A source of configuration in which every name under `backbone/` is a model of timm.

    It stands last in Hydra's search path, so that a file of that name comes first. Whether timm has such a model is
    asked by `check`, since the answer costs an import of torch.
    """

    @staticmethod
    def scheme() -> str:
        """Return the scheme of its address, `timm://`."""
        return "timm"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the node of a model."""
        name = config_path.removeprefix("backbone/").removesuffix(".yaml")
        node = OmegaConf.create({"_target_": "landbridge.backbones.pretrained.Timm", "name": name})
        return ConfigResult(self.provider, self.full_path(), node, header={"package": None})

    def available(self) -> bool:
        """Return True: it needs no file."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Say whether this is the one group it serves."""
        return config_path.strip("/") == "backbone"

    def is_config(self, config_path: str) -> bool:
        """Say whether this is a name in that group."""
        return re.fullmatch(r"backbone/[\w.-]+", config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return nothing: a thousand models would bury the ones that have a file."""
        return []
