"""The start that trains a source model first, once for all runs that want it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import Gt
from filelock import FileLock
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from landbridge import __version__
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.network import Network
from landbridge.record import Record, fingerprint
from landbridge.start.loading import LoadReport
from landbridge.start.start import Start
from landbridge.start.weights import Checkpoint


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
        config: Any = OmegaConf.to_container(cfg, resolve=True)
        own = cast(DictConfig, OmegaConf.create(config))
        changes = {
            "name": "source_model",
            "target": own["source"],
            "source": None,
            "target_labels": "all",
            "transductive": False,
            "terms": None,
            "logger": None,
            "strategy": {"_target_": cast(Any, get_class(cfg.strategy._target_)).source_strategy},
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
