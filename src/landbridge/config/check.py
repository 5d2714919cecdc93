"""Finds all mistakes of a configuration at once, before any data or model is loaded.

There is no separate schema: keys and values are compared with the signatures of the configured classes and functions.
"""

import inspect
from collections.abc import Collection, Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any, cast, get_args

import torch
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from torch.optim import Optimizer

from landbridge.config.build import build, nodes_of
from landbridge.config.callbacks import instead_of
from landbridge.config.facts import FACTS
from landbridge.config.idle import idle_settings
from landbridge.config.names import HYDRA_KEYS, join, listed, no_such_setting, require_none
from landbridge.config.signatures import locate, product, read_signature
from landbridge.config.slots import SLOTS, Slot
from landbridge.config.values import UNKNOWN, StandIn, describe, faults, show
from landbridge.errors import nearest
from landbridge.strategies.terms import TERMS, TermSettings


def check(cfg: DictConfig, parts: Collection[str] | None = None) -> None:
    """Compare a composed configuration with the code that it configures.

    The keys and values of every node are compared with the signature of its target. There is no list of allowed
    targets; types decide. A target must be a class, or a function that is annotated with the class it returns. At the
    root, that class must derive from the class that the slot in `slots.SLOTS` expects. Inside another node, it must
    derive from the class in the annotation of the parameter. If the annotation names no class, a node is refused there.
    `os.system`, for example, is refused everywhere.

    Args:
        cfg: the configuration, which is not modified.
        parts: names of the groups to check, for code that builds nothing else; None checks everything.

    Raises:
        LandbridgeError: the configuration has mistakes. The message lists all of them, one a line.
    """
    problems = _Walk().run(cfg) if parts is None else _Walk().run_parts(cfg, parts)
    require_none(problems)


class _Walk:
    """Checks a configuration entry by entry, and collects problems by path. The first problem of a path is kept."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def report(self, path: str, message: str) -> None:
        self.problems.setdefault(path, message)

    def run(self, cfg: DictConfig) -> dict[str, str]:
        root = self.resolve(cfg)
        for group, file in (("experiment", "an experiment file"), ("recipe", "a recipe file")):
            if group in root:
                self.report(group, f"{file}'s first line must be `# @package _global_`")
        required = {name for name, each in {**SLOTS, **FACTS}.items() if not each.optional}
        self.names("", root, {*SLOTS, *FACTS}, required, "landbridge")
        for name in FACTS.keys() & root:
            if root[name] is not None or not FACTS[name].optional:
                self.setting(name, root[name], FACTS[name].hint)
        for name in SLOTS.keys() & root:
            self.slot(name, root[name])
        for path, message in idle_settings({} if self.problems else root):
            self.report(path, message)
        return self.problems

    def run_parts(self, cfg: DictConfig, parts: Collection[str]) -> dict[str, str]:
        for name in parts:
            self.slot(name, self.resolve(cfg).get(name))
        return self.problems

    def resolve(self, config: DictConfig | ListConfig, path: str = "") -> Any:
        """Copy a configuration into plain Python values; `UNKNOWN` replaces values that cannot be resolved."""
        keys: Iterable[Any] = config if isinstance(config, DictConfig) else range(len(config))
        copy: dict[Any, Any] = {}
        for key in keys:
            where = join(path, key) if isinstance(config, DictConfig) else f"{path}[{key}]"
            copy[key] = UNKNOWN
            try:
                value = cast(Any, config)[key]
            except MissingMandatoryValue:
                self.report(where, "needs a value in place of '???'")
            except OmegaConfBaseException as error:
                self.report(where, f"cannot be resolved: {str(error).splitlines()[0]}")
            else:
                copy[key] = self.resolve(value, where) if isinstance(value, DictConfig | ListConfig) else value
        return copy if isinstance(config, DictConfig) else list(copy.values())

    def slot(self, name: str, value: Any) -> None:
        """Check the node of a configuration group."""
        slot = SLOTS[name]
        if slot.several and value and isinstance(value, dict | list) and "_target_" not in value:
            for where, node in nodes_of(name, value):
                self.member(where, node, slot)
        elif isinstance(value, dict) and "_target_" in value and not slot.several:
            self.node(name, value, slot.supplied, expects=locate(slot.expects), ranges=slot.ranges)
        elif value is not UNKNOWN and not (value is None and SLOTS[name].optional) and not self.misspelt(name, value):
            self.report(
                name,
                f"{show(value)} has no `_target_`; choose a file of the group with `{name}=...` on the command line "
                f"or `- override /{name}: ...` in an experiment's defaults",
            )

    def member(self, path: str, value: Any, slot: Slot) -> None:
        """Check one node of a group that holds several, and build it, because only its constructor checks ranges."""
        if not isinstance(value, dict) or "_target_" not in value:
            self.report(path, f"{show(value)} has no `_target_`")
            return
        before = len(self.problems)
        made = self.node(path, value, slot.supplied, expects=locate(slot.expects))
        if len(self.problems) > before:
            return
        if hint := instead_of(made.made):
            self.report(path, f"{value['_target_']} is not a callback for landbridge: {hint}")
            return
        try:
            build(value)
        except Exception as error:
            self.report(path, str(error))

    def setting(self, path: str, value: Any, hint: Any) -> None:
        """Check a value and the nodes inside it."""
        if TermSettings in (hint, *get_args(hint)):
            self.terms(path, value)
            return
        for where, message in faults(self.stand_ins(path, value), hint, path):
            self.report(where, message)

    def terms(self, path: str, value: Any) -> None:
        """Check auxiliary losses: a list of names, or a mapping from names to a weight or to settings."""
        if value is None or value is UNKNOWN:
            return
        if not isinstance(value, dict | list):
            self.report(path, f"{show(value)} is not a list or a mapping of terms")
            return
        for name in value:
            where, settings = join(path, name), value[name] if isinstance(value, dict) else None
            if name not in TERMS:
                best = nearest(str(name), TERMS)
                self.report(where, "there is no such term" + (f"; nearest: {best}" if best else listed(TERMS)))
            elif isinstance(settings, dict):
                term = TERMS[name]
                self.node(where, {"_target_": f"{term.__module__}.{term.__name__}", **settings})
            elif settings is not None:
                self.setting(where, settings, read_signature(TERMS[name]).hints["weight"])

    def stand_ins(self, path: str, value: Any) -> Any:
        """Check the nodes inside a value, and return the value with a `StandIn` in place of each node."""
        if isinstance(value, list):
            return [self.stand_ins(f"{path}[{i}]", item) for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if "_target_" in value:
            return self.node(path, value)
        self.misspelt(path, value)
        return {key: self.stand_ins(join(path, key), item) for key, item in value.items()}

    def node(
        self,
        path: str,
        config: dict[Any, Any],
        supplied: Set[str] = frozenset(),
        expects: type | None = None,
        ranges: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Check a node, and return a `StandIn` for its object.

        Args:
            path: path of the node.
            config: its keys and values.
            supplied: arguments that `run` provides.
            expects: class that the target must make; with None, the caller checks this.
            ranges: types of settings that are narrower than the target's annotations.
        """
        target, made = self.target(f"{path}._target_", config["_target_"], expects)
        if made is None:
            return UNKNOWN
        signature = read_signature(target)
        partial = config.get("_partial_", False) is not False
        hints = {**signature.hints, **HYDRA_KEYS}
        required = set() if partial else signature.required - supplied
        self.names(path, config.keys() - supplied, hints.keys() - supplied, required, target.__name__, signature.open)
        for key, value in config.items():
            if key in supplied:
                self.report(join(path, key), "is set by landbridge")
            self.setting(join(path, key), value, ranges.get(key, hints.get(key, Any)))
        if issubclass(made, Optimizer) and not any(place.startswith(f"{path}.") for place in self.problems):
            self.try_optimizer(path, config)
        return StandIn(made, config["_target_"], partial)

    def target(self, path: str, name: Any, expects: type | None) -> tuple[Any, type | None]:
        """Import a target, and return it with the class that it makes. If the target is refused, the class is None."""
        if not isinstance(name, str):
            if name is not UNKNOWN:
                self.report(path, f"{show(name)} is not a dotted name")
            return None, None
        try:
            target = locate(name)
        except ImportError as error:
            self.report(path, str(error))
            return None, None
        made = product(target)
        if made is None:
            self.report(path, f"{name} is neither a class nor a function annotated with the class it returns")
        elif expects and not issubclass(made, expects):
            self.report(path, f"{name} is not {describe(expects)}, nor annotated as returning one")
        elif inspect.isabstract(target):
            self.report(path, f"{name} is abstract: only what derives from it can be built")
        else:
            return target, made
        return target, None

    def names(
        self, path: str, given: Iterable[Any], known: Set[str], required: Set[str], owner: str, more: bool = False
    ) -> None:
        """Compare keys with the names that their owner takes, and report unknown and missing names.

        Args:
            path: path of the node.
            given: the keys of the node.
            known: names that the owner takes.
            required: names that the owner needs.
            owner: name of the class or function, for messages.
            more: whether the owner takes further names. Then an unknown name is reported only if it is very similar to
                a known one.
        """
        missing = set(required)
        for key in given:
            best = key if key in known else nearest(str(key), sorted(known), cutoff=0.8 if more else 0.6)
            missing.discard(best)
            if key not in known and (best or not more):
                self.report(join(path, key), no_such_setting(key, known, owner))
        for key in missing:
            self.report(join(path, key), f"is missing: {owner} needs it")

    def misspelt(self, path: str, value: Any) -> bool:
        """Report keys that look like misspelt keys of Hydra, in a mapping without `_target_`.

        Returns:
            Whether there are any.
        """
        keys = (
            [key for key in value if isinstance(key, str) and key.strip("_") != key] if isinstance(value, dict) else []
        )
        best = {key: nearest(key, HYDRA_KEYS, cutoff=0.8) for key in keys}
        for key, option in best.items():
            if option:
                self.report(join(path, key), f"Hydra has no such key; nearest: {option}")
        return any(best.values())

    def try_optimizer(self, path: str, config: dict[Any, Any]) -> None:
        """Build the optimizer for one parameter. Only its constructor checks the ranges of its settings."""
        try:
            build(config, params=[torch.nn.Parameter(torch.zeros(1, 1))])
        except Exception as error:
            self.report(path, str(error.__cause__ or error))
