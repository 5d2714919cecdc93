"""Where the weights come from before the strategy runs, and a report of what was loaded."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import Gt
from filelock import FileLock
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from landbridge import __version__
from landbridge.backbones.weights import content_of, read_weights
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.network import SOURCE_HEAD, Network
from landbridge.record import RECORD, Record, fingerprint
from landbridge.tuning import merge_lora, restore_adapters


@dataclass(frozen=True)
class LoadReport:
    """What a start loaded, by name.

    Attributes:
        origin: where the weights come from.
        loaded: entries of the network that were filled.
        skipped: entries of the file that the network has no place for, or whose shape differs.
        initialised: entries of the network that keep their fresh initialisation.
    """

    origin: str
    loaded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Say in a line how much was loaded."""
        fresh = f" ({', '.join(self.initialised[:4])}{', ...' if len(self.initialised) > 4 else ''})"
        return (
            f"start: {len(self.loaded)} tensors loaded from {self.origin}, {len(self.skipped)} skipped, "
            f"{len(self.initialised)} newly initialised{fresh if self.initialised else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report for the record: counts, and the names of what was not loaded."""
        return asdict(self) | {"loaded": len(self.loaded)}


def load_matching(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> LoadReport:
    """Fill a module with the entries that match it by name and shape.

    Raises:
        LandbridgeError: nothing matches.
    """
    own = module.state_dict()
    matching = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not any(name in dict(module.named_parameters()) for name in matching):
        theirs, ours = next(iter(state), "nothing"), next(iter(own), "nothing")
        raise LandbridgeError(
            f"start: no entry of {origin} matches this network by name and shape "
            f"(the file begins with '{theirs}', the network with '{ours}')"
        )
    module.load_state_dict(matching, strict=False)
    return LoadReport(
        origin,
        loaded=list(matching),
        skipped=[name for name in state if name not in matching],
        initialised=[name for name in own if name not in matching],
    )


class Start(ABC):
    """Sets a network's weights before the strategy runs."""

    #: Whether it brings a head that knows the classes already, and whether it looks at the source domain.
    brings_head: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    #: Once applied: what the strategy that trained the loaded model kept beside its network, by name, and the
    #: classifier that the weights were trained with under `SOURCE_HEAD`, where there is one.
    beside: Mapping[str, Tensor] = MappingProxyType({})

    def prepare(  # noqa: B027 -- most starts have nothing to prepare
        self, cfg: DictConfig, source: Domain | None, train: Callable[[DictConfig, Path], Record]
    ) -> None:
        """Do what must be done before the network is built.

        Args:
            cfg: the run's configuration.
            source: the source domain, where the start needs it.
            train: runs another transfer in a folder.
        """

    def contents(self) -> dict[str, str]:
        """Return fingerprints of the files that the weights are read from, by what they are."""
        return {}

    def knows(self, domain: Mapping[str, Any], classes: Sequence[str]) -> bool:
        """Say whether the model that it brings is known to have learned these classes on a domain.

        Args:
            domain: its configuration.
            classes: in the order of the head.
        """
        return self.needs_source

    @abstractmethod
    def apply(self, network: Network) -> LoadReport | None:
        """Set the weights; return what was loaded, or None if nothing was to be."""


class Scratch(Start):
    """Keep the random initialisation."""

    def apply(self, network: Network) -> None:
        """Do nothing."""


class Pretrained(Start):
    """Load the backbone's pretrained weights; the head is new.

    Args:
        path: a local file of weights under the backbone's own names (`.safetensors`, `.pth`); None takes the
            backbone's own place: a package, or timm's hub.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = Path(path).expanduser() if path else None

    def contents(self) -> dict[str, str]:
        """Return the fingerprint of the file, if one is named."""
        return {"start": content_of(self.path)} if self.path else {}

    def apply(self, network: Network) -> LoadReport:
        """Load the backbone's weights."""
        state, origin = network.backbone.pretrained_state(self.path)
        own = network.backbone.state_dict()
        beyond = {name: value for name, value in state.items() if name not in own}
        self.beside = _classifier(beyond, network.backbone.features)
        return load_matching(network, {f"backbone.{name}": value for name, value in state.items()}, origin)


class Checkpoint(Start):
    """Load a checkpoint that a landbridge run has written: the backbone, and the head where its classes are as many.

    Args:
        path: the checkpoint, such as `outputs/.../selected.ckpt`.
    """

    brings_head: ClassVar = True

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    def contents(self) -> dict[str, str]:
        """Return the fingerprint of the checkpoint."""
        return {"start": content_of(self.path)}

    def knows(self, domain: Mapping[str, Any], classes: Sequence[str]) -> bool:
        """Look into the record beside the checkpoint, if there is one."""
        if not (self.path.parent / RECORD).is_file():
            return False
        record = Record.read(self.path.parent)
        learned = [role for role, data in record.data.items() if data["classes"] == list(classes)]
        return any(record.config[role] == domain for role in learned)

    def apply(self, network: Network) -> LoadReport:
        """Load what the checkpoint keeps of the network."""
        prefix, state = "network.", read_weights(self.path)
        self.beside = {name: value for name, value in state.items() if not name.startswith(prefix)}
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        own = merge_lora(own)
        restore_adapters(network, own)
        head = {name: value for name, value in own.items() if name in ("head.weight", "head.bias")}
        self.beside |= {f"{SOURCE_HEAD}{name.removeprefix('head.')}": value for name, value in head.items()}
        report = load_matching(network, own, str(self.path))
        if missing := [name for name in report.initialised if name.startswith("backbone.")]:
            raise LandbridgeError(f"start.path: {self.path} holds another backbone: nothing in it fits {missing[0]}")
        return report


def _classifier(beyond: Mapping[str, Tensor], features: int) -> dict[str, Tensor]:
    """Find the classifier in what a file holds beyond the backbone: the one matrix (classes, features) and its bias."""
    matrices = [value.flatten(1) for value in beyond.values() if value.ndim > 1 and value[0].numel() == features]
    biases = [value for value in beyond.values() if value.ndim == 1 and [len(value)] == [len(m) for m in matrices]]
    if len(biases) != 1:
        return {}
    return {f"{SOURCE_HEAD}weight": matrices[0], f"{SOURCE_HEAD}bias": biases[0]}


class Source(Start):
    """Train on the source domain first, then go on from that model, head included.

    The source model is a run of its own (supervised, on all source labels) with its own record. It is trained once:
    its folder is named by the hash of all that determines it, and runs that want the same one wait for each other.

    Args:
        before: where the source model itself starts: `scratch` or `pretrained`.
        max_epochs: passes over the source's training split; None trains as long as the run itself.
        cache: folder in which source models are kept.
    """

    brings_head: ClassVar = True
    needs_source: ClassVar = True

    def __init__(
        self,
        before: Literal["scratch", "pretrained"] = "scratch",
        max_epochs: Annotated[int, Gt(0)] | None = None,
        cache: str = "~/.cache/landbridge/sources",
    ) -> None:
        self.before = before
        self.max_epochs = max_epochs
        self.cache = Path(cache).expanduser()
        self._model: Path | None = None

    def prepare(self, cfg: DictConfig, source: Domain | None, train: Callable[[DictConfig, Path], Record]) -> None:
        """Train the source model, unless it lies in the cache already."""
        if source is None:
            raise LandbridgeError("start=source needs a source domain: set source=...")
        own = self._config(cfg)
        config: Any = OmegaConf.to_container(own, resolve=True)
        # Another version may train another model from the same configuration.
        folder = self.cache / fingerprint(config, {"target": source.fingerprint, "landbridge": __version__})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock").acquire()
        except OSError as error:
            raise LandbridgeError(f"start.cache: cannot write into {self.cache}: {error.strerror}") from error
        with lock:
            record = train(own, folder)
        self._model = folder / record.selection["checkpoint"]

    def _config(self, cfg: DictConfig) -> DictConfig:
        own = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))  # pyright: ignore
        changes = {
            "name": "source_model",
            "target": own["source"],
            "source": None,
            "target_labels": "all",
            "transductive": False,
            "terms": None,
            "logger": None,
            "strategy": {"_target_": get_class(cfg.strategy._target_).source_strategy},  # type: ignore[attr-defined]
            "freeze": {"_target_": "landbridge.freezing.Depth"},
            "tuning": None,
            "averaging": None,
            "selection": {"_target_": "landbridge.selection.Last"},
            "start": {"_target_": f"landbridge.start.{self.before.capitalize()}"},
        }
        for key, value in changes.items():
            own[key] = value
        own["cache"].pop("views", None)
        # One process: a process group of one would stay for the run itself, which may want more.
        own["trainer"].update(devices=1, strategy="auto")
        for setting in ("num_nodes", "sync_batchnorm"):
            own["trainer"].pop(setting, None)
        if self.max_epochs:
            own["trainer"]["max_epochs"] = self.max_epochs
        return own

    def apply(self, network: Network) -> LoadReport:
        """Load the source model."""
        assert self._model is not None, "prepare comes before apply"
        model = Checkpoint(str(self._model))
        report = model.apply(network)
        self.beside = model.beside
        return report
