"""What the members of a pack share: opened domains, backbones, and features."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from landbridge.data.domain import Domain
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.network import Network
from landbridge.models.start import LoadReport, Start
from landbridge.packs.features import Features
from landbridge.run.company import Initial
from landbridge.run.random_states import random_state, restore_random_state

#: Groups that determine which domains are opened.
DOMAINS = ("source", "target", "label_sets", "start", "strategy", "target_labels")
#: Groups and values that determine the initial network, in addition to the domains.
NETWORK = ("seed", "backbone", "head", "tuning", "freeze", "trainer", *DOMAINS)


class Shared:
    """Keeps what a member has opened or built for the others."""

    def __init__(self) -> None:
        self._domains: dict[str, dict[str, Domain]] = {}
        self._networks: dict[str, _Built] = {}
        self._backbones: list[Backbone] = []
        self._features: dict[int, Features] = {}

    def domains(self, cfg: DictConfig, opened: Callable[[], dict[str, Domain]]) -> dict[str, Domain]:
        """Return domains by role, with lists of opened labels that begin anew."""
        key = _key(cfg, DOMAINS)
        if key not in self._domains:
            self._domains[key] = opened()
        return {role: domain.sealed_anew() for role, domain in self._domains[key].items()}

    def initial(self, cfg: DictConfig, start: Start, build: Callable[[], Initial]) -> Initial:
        """Return a network with weights of its own behind a shared backbone, and the report of what was loaded.

        The random generators are left as if the network had been built.
        """
        key = _key(cfg, NETWORK)
        if key not in self._networks:
            network, loaded = build()
            network.backbone = self._known(network.backbone)
            self._networks[key] = _Built(network, loaded, dict(vars(start)), random_state())
        return self._networks[key].again(start)

    def features(self, backbone: Backbone) -> Features:
        """Return the features of a shared backbone."""
        return self._features.setdefault(id(backbone), Features())

    def _known(self, backbone: Backbone) -> Backbone:
        """Return a backbone of another member with equal weights, or this one if there is none."""
        for other in self._backbones:
            if _equal(other, backbone):
                return other
        self._backbones.append(backbone)
        return backbone


class _Built:
    """A network that is never trained, to be copied for each member."""

    def __init__(
        self, network: Network, loaded: LoadReport | None, start: dict[str, Any], random: dict[str, Any]
    ) -> None:
        self.network = network
        self.loaded = loaded
        self.start = start
        self.random = random

    def again(self, start: Start) -> Initial:
        backbone = self.network.backbone
        network = copy.deepcopy(self.network, {id(backbone): backbone})
        vars(start).update(self.start)
        restore_random_state(self.random)
        return network, self.loaded


def _equal(one: Backbone, other: Backbone) -> bool:
    first, second = one.state_dict(), other.state_dict()
    same = first.keys() == second.keys() and str(one) == str(other) and one.origin == other.origin
    return same and all(torch.equal(first[name], second[name]) for name in first)


def _key(cfg: DictConfig, groups: Sequence[str]) -> str:
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return json.dumps({group: config.get(group) for group in groups}, sort_keys=True, default=str)
