"""Config groups whose options have no file of their own: domains as sources and targets, and timm models."""

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

from landbridge.cli.flags import split_flags

ROLES = ("source", "target")
DOMAIN = "domain"
#: Joins the names of domains to a union: `source=photo+art`.
UNION = "+"
MODEL = re.compile(r"[\w.-]+")


def conf_folder() -> Path:
    """Return the configuration folder: that of the checkout, or else that of the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def config_folders(arguments: Sequence[str] = ()) -> list[Path]:
    """Return the folders with configuration files: landbridge's own, and the user's `--config-dir`."""
    own = split_flags(arguments)[0].config_dir
    return [conf_folder(), *([Path(own).absolute()] if own else [])]


def replaced_files(arguments: Sequence[str]) -> list[str]:
    """Return the files of the user's `--config-dir` that Hydra reads in place of landbridge's own of the same name."""
    own, *added = config_folders(arguments)
    files = (path for folder in added for path in folder.glob("**/*.yaml"))
    return sorted(str(path) for path in files if (own / path.relative_to(added[0])).is_file())


def register_groups(arguments: Sequence[str] = ()) -> None:
    """Offer every file of `domain/` as an option of `source` and `target`, and every timm model as one of `backbone`.

    Args:
        arguments: arguments of the command line. The folder that `--config-dir` names may contain domains too.
    """
    Domains.folders = config_folders(arguments)
    for plugin in (Domains, DomainsInSearchPath, TimmModels):
        Plugins.instance().register(plugin)


class _Derived(ConfigSource):
    """A configuration source that derives its options and has no files for them."""

    groups: ClassVar[tuple[str, ...]]

    def available(self) -> bool:
        """Return True: the source needs no folder, so it is always available."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is the root or a group of this source."""
        return config_path.strip("/") in ("", *self.groups)

    def is_config(self, config_path: str) -> bool:
        """Return whether a path is an option in a group of this source."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return group in self.groups and self.has(name)

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the configuration of an option, for Hydra."""
        node = self.node(config_path.removesuffix(".yaml").partition("/")[2])
        return ConfigResult(self.provider, self.full_path(), node, header={"package": None})

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether an option of this name exists."""

    @abstractmethod
    def node(self, name: str) -> Container:
        """Return the configuration node of an option."""


class Domains(_Derived):
    """Reads `source/x` and `target/x` from the file `domain/x.yaml`, so that a domain is written once."""

    groups = ROLES
    #: Folders that contain `domain/`. A process that a launcher starts without this command line uses the default.
    folders: ClassVar[list[Path]] = [conf_folder()]

    @staticmethod
    def scheme() -> str:
        """Return the URL scheme of this source."""
        return "domains"

    def has(self, name: str) -> bool:
        """Return whether a file describes the domain, or each part of a union such as `photo+art`."""
        return set(name.split(UNION)) <= self._files().keys()

    def node(self, name: str) -> Container:
        """Return the node in the file of the domain; of a union, the node that joins its parts."""
        nodes = {part: OmegaConf.load(self._files()[part]) for part in name.split(UNION)}
        if len(nodes) == 1 and UNION not in name:
            return cast(Container, nodes[name])
        return OmegaConf.create({"_target_": "landbridge.data.sources.union.union", "domains": nodes})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the two groups, or the domains in a group."""
        if not config_path.strip("/"):
            return [] if results_filter == ObjectType.CONFIG else sorted(ROLES)
        return [] if results_filter == ObjectType.GROUP else sorted(self._files())

    def _files(self) -> dict[str, Path]:
        return {path.stem: path for folder in self.folders for path in (folder / DOMAIN).glob("*.yaml")}


class DomainsInSearchPath(SearchPathPlugin):
    """Adds the domains to Hydra's search path, early enough that `--help` and tab completion list them.

    Hydra searches the folder of `--config-dir` after landbridge's own. It should win, so it is added in front, too.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the domains to the search path, and put the user's folders before landbridge's own."""
        for folder in Domains.folders[1:]:
            search_path.prepend("landbridge", f"file://{folder}", anchor="main")
        search_path.append("landbridge", f"{Domains.scheme()}://")


class TimmModels(_Derived):
    """Offers every name in `backbone/` as a timm model.

    This source is the last one in Hydra's search path (`conf/train.yaml`). So a file of the same name takes precedence.
    The source does not test whether timm has the model, since this needs an import of torch; `check` tests it.
    """

    groups = ("backbone",)

    @staticmethod
    def scheme() -> str:
        """Return the URL scheme of this source."""
        return "timm"

    def has(self, name: str) -> bool:
        """Return whether a name has the form of a model's name."""
        return MODEL.fullmatch(name) is not None

    def node(self, name: str) -> Container:
        """Return the configuration node of a model."""
        return OmegaConf.create({"_target_": "landbridge.models.backbones.timm_models.Timm", "name": name})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return an empty list: among a thousand models, a user would not find the options that have a file."""
        return []
