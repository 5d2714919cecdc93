"""Config groups whose options have no file of their own: domains as sources and targets, and models of timm."""

import argparse
import re
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import Container, OmegaConf

ROLES = ("source", "target")
DOMAIN = "domain"
MODEL = re.compile(r"[\w.-]+")


def conf_folder() -> Path:
    """Return the configuration folder: the checkout's own, or the one inside an installed package."""
    package = Path(__file__).resolve().parents[1]
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
    Domains.folders = config_folders(arguments)
    for plugin in (Domains, DomainsInSearchPath, TimmModels):
        Plugins.instance().register(plugin)


class _Derived(ConfigSource):
    """A source of configuration that derives its options instead of keeping files for them."""

    groups: ClassVar[tuple[str, ...]]

    def available(self) -> bool:
        """Return True: it needs no place of its own."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Say whether this is the root, or one of the groups it serves."""
        return config_path.strip("/") in ("", *self.groups)

    def is_config(self, config_path: str) -> bool:
        """Say whether this is an option of one of those groups."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return group in self.groups and self.has(name)

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the node of an option."""
        node = self.node(config_path.removesuffix(".yaml").partition("/")[2])
        return ConfigResult(self.provider, self.full_path(), node, header={"package": None})

    @abstractmethod
    def has(self, name: str) -> bool:
        """Say whether there is such an option."""

    @abstractmethod
    def node(self, name: str) -> Container:
        """Return the node of an option."""


class Domains(_Derived):
    """`source/x` and `target/x` are the file `domain/x.yaml`, so that a domain is written once."""

    groups = ROLES
    #: Where `domain/` is looked for; ours also in processes that a launcher starts without our command line.
    folders: ClassVar[list[Path]] = [conf_folder()]

    @staticmethod
    def scheme() -> str:
        """Return the scheme of its address."""
        return "domains"

    def has(self, name: str) -> bool:
        """Say whether there is a file of the domain."""
        return name in self._files()

    def node(self, name: str) -> Container:
        """Return what the domain's file says."""
        return cast(Container, OmegaConf.load(self._files()[name]))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the two groups, or the domains in them."""
        if not config_path.strip("/"):
            return [] if results_filter == ObjectType.CONFIG else sorted(ROLES)
        return [] if results_filter == ObjectType.GROUP else sorted(self._files())

    def _files(self) -> dict[str, Path]:
        return {path.stem: path for folder in self.folders for path in (folder / DOMAIN).glob("*.yaml")}


class DomainsInSearchPath(SearchPathPlugin):
    """Puts the domains into Hydra's search path early enough for `--help` and tab completion to list them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append them."""
        search_path.append("landbridge", f"{Domains.scheme()}://")


class TimmModels(_Derived):
    """Every name under `backbone/` is a model of timm.

    It stands last in Hydra's search path (`conf/train.yaml`), so that a file of that name comes first. Whether timm
    has such a model is asked by `check`, since the answer costs an import of torch.
    """

    groups = ("backbone",)

    @staticmethod
    def scheme() -> str:
        """Return the scheme of its address."""
        return "timm"

    def has(self, name: str) -> bool:
        """Say whether this may be the name of a model."""
        return MODEL.fullmatch(name) is not None

    def node(self, name: str) -> Container:
        """Return the node of a model."""
        return OmegaConf.create({"_target_": "landbridge.models.backbones.timm_models.Timm", "name": name})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return nothing: a thousand models would bury those that have a file."""
        return []
