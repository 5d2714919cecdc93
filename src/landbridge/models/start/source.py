"""The start that first trains a source model, once for all runs that need the same one."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt
from filelock import AcquireReturnProxy, FileLock, Timeout
from omegaconf import DictConfig

from landbridge import __version__
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import backbone_contents
from landbridge.models.network import Network
from landbridge.models.start.checkpoint import Checkpoint
from landbridge.models.start.loading import LoadReport
from landbridge.models.start.start import SourceModel, Start
from landbridge.record import Record, fingerprint, inherited

log = logging.getLogger(__name__)


class Source(Start):
    """Train a model on the source domain first, then continue from this source model, including its head.

    The source model is trained by a separate run (supervised, on all source labels) with its own record. It is trained
    only once: the name of its folder is a hash of everything that determines the source model. Runs that need the same
    source model wait for each other.

    All its stages train, whatever `freeze` says: `freeze` is about the run that continues it. There is one exception. A
    strategy that only adapts a source model, without target labels, is compared with `source_only` at the same
    freezing. Its source model trains the stages that `freeze` trains, and the head, as this reference does.

    Args:
        before: start of the source model itself: `scratch` or `pretrained`. None: `pretrained` if the backbone names
            weights (`backbone.weights` or `backbone.folder`), else `scratch`.
        max_epochs: passes over the source's training split; None trains as long as the run itself.
        augment: whether the source model is trained with the `augment` of the run.
        cache: folder in which source models are stored.
    """

    brings_head: ClassVar = True
    needs_source: ClassVar = True

    def __init__(
        self,
        before: Literal["scratch", "pretrained"] | None = None,
        max_epochs: Annotated[int, Gt(0)] | None = None,
        augment: bool = True,
        cache: str = "~/.cache/landbridge/sources",
    ) -> None:
        self.before = before
        self.max_epochs = max_epochs
        self.augment = augment
        self.cache = Path(cache).expanduser()
        self._model: Path | None = None
        self._began = ""

    def prepare(
        self, source: Domain | None, source_model: SourceModel | None, train: Callable[[DictConfig, Path], Record]
    ) -> None:
        """Train the source model, unless it is already in the cache."""
        if source is None or source_model is None:
            raise LandbridgeError("start=source needs a source domain: set source=...")
        # Another version of landbridge may train another model from the same configuration.
        contents = {"target": source.fingerprint, "landbridge": __version__} | backbone_contents(
            source_model.settings["backbone"]
        )
        folder = self.cache / fingerprint(source_model.settings, contents)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = self._locked(folder)
        except OSError as error:
            raise LandbridgeError(f"start.cache: cannot write into {self.cache}: {error.strerror}") from error
        with lock:
            record = train(source_model.config, folder)
        self.trained = inherited(record)
        self._began = record.start["origin"] if record.start else "random weights"
        log.info("start: the source model was trained from %s (start.before)", self._began)
        if source_model.follows_freezing:
            log.info("start: the source model was trained with the freezing of this run (freeze)")
            self._began += ", with the freezing of this run"
        self._model = folder / record.selection["checkpoint"]

    def _locked(self, folder: Path) -> AcquireReturnProxy:
        """Lock the folder of a source model, and say so if another run has locked it."""
        lock = FileLock(folder / ".lock")
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            log.info("start: another run trains the same source model in %s; this run waits for it", folder)
            return lock.acquire()

    def apply(self, network: Network, classes: Sequence[str] | None = None) -> LoadReport:
        """Load the source model."""
        assert self._model is not None, "call prepare before apply"
        model = Checkpoint(str(self._model))
        report = model.apply(network, classes)
        self.auxiliary_state, self.why_new_head = model.auxiliary_state, model.why_new_head
        self.why_new_bottleneck = model.why_new_bottleneck
        return replace(report, before=self._began)
