"""Predicts new samples with the model of a finished run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.utils.data import DataLoader

from landbridge.data.activations import Activation
from landbridge.data.inputs import Inputs
from landbridge.data.streams import OrderedBatches, Stream
from landbridge.errors import LandbridgeError
from landbridge.predict.files import inputs_from
from landbridge.predict.finished_run import FinishedRun, open_run
from landbridge.predict.given import inputs_of
from landbridge.predict.predictions import Predictions, joined
from landbridge.predict.progress import shown

#: Samples in a batch, if the run does not state how many it evaluated at once.
BATCH = 256


def load(run: Path | str, device: torch.device | str | None = None) -> "Predictor":
    """Open a finished run as a model.

    Args:
        run: the run's folder, such as `outputs/run`.
        device: where the model runs; None: a GPU if there is one.

    Raises:
        LandbridgeError: there is no such run or device, the run is not finished, or its model cannot be built.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise LandbridgeError(f"device={chosen} cannot be used ({reason}); cpu always can") from error
    return Predictor(open_run(run), place)


class Predictor:
    """The model of a finished run.

    It reads samples as the run did, with the same size of batches. So on the run's own test samples, it gives the run's
    own outputs: bit for bit on the same device with the same number of threads; within 1e-4 with LoRA, whose matrices
    are merged, with a cache of activations, and on another device. It computes with 32 bits: outputs of runs in mixed
    precision differ in the third digit.

    Args:
        run: the opened run.
        device: where the model runs.
    """

    def __init__(self, run: FinishedRun, device: torch.device) -> None:
        self.run = run
        self.device = device
        self.network = run.network.to(device)
        self.task = run.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the outputs: classes, or numbers."""
        return self.task.names

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What the model takes, and what happens to it: kind, size, channels, mean, deviation, columns."""
        format = self.run.format
        settings = {name: value for name, value in vars(format).items() if name != "tokenizer"}
        return {"kind": format.kind, **settings, **{k: v for k, v in self.run.inputs.items() if k == "columns"}}

    def __repr__(self) -> str:
        """Show what the model predicts, from what."""
        names = ", ".join(self.classes[:6]) + (", ..." if len(self.classes) > 6 else "")
        task = self.task.kind.replace("_", " ")
        return f"{task} ({names}) of a {self.run.format.kind}, from {self.run.folder}, on {self.device}"

    def predict(
        self,
        given: Any,
        *,
        batch_size: Annotated[int, Gt(0)] | None = None,
        features: bool = True,
        progress: bool | None = None,
        workers: Annotated[int, Ge(0)] | None = None,
        columns: Sequence[str] = (),
    ) -> Predictions:
        """Predict samples.

        Args:
            given: one or several paths of files and folders; or samples in memory: arrays, tensors, images of Pillow,
                texts, mappings from column to number, a data frame. For a model of texts, a string is a text; a path of
                a file is a `pathlib.Path`.
            batch_size: samples at once; None: as many as the run evaluated at once.
            features: whether the features are kept.
            progress: whether a bar shows the progress; None: on a terminal and in a notebook.
            workers: processes that decode photographs or tokenise texts; None: two if there are several batches.
            columns: of a table: the one with texts or paths, or those with numbers; none: those of the run's own table.

        Raises:
            LandbridgeError: a path or a sample is no input of this model.
        """
        paths = self._paths(given)
        parts = list(inputs_from(paths, self.run, columns)) if paths else [inputs_of(given, self.run)]
        size = batch_size or self.run.record.config["data"].get("eval_batch_size") or BATCH
        if not sum(map(len, parts)):
            raise LandbridgeError("there is no sample to predict")
        return joined([self._predict(part, size, features, progress, workers) for part in parts if len(part)])

    def _paths(self, given: Any) -> list[Path]:
        """Return the paths that are given; none if samples are given."""
        kinds: tuple[type, ...] = (os.PathLike,) if self.run.format.kind == "text" else (os.PathLike, str)
        if isinstance(given, kinds):
            return [Path(os.fspath(given)).expanduser()]  # pyright: ignore[reportArgumentType]
        if isinstance(given, Sequence) and given and all(isinstance(each, kinds) for each in given):
            return [Path(os.fspath(each)).expanduser() for each in given]
        return []

    def _predict(
        self, inputs: Inputs, batch_size: int, keep_features: bool, progress: bool | None, workers: int | None
    ) -> Predictions:
        stream = Stream(inputs, self.run.format)
        batches = OrderedBatches("target", stream, batch_size)
        if workers is None:
            workers = 2 if stream.must_be_decoded and len(batches) > 1 else 0
        # The loader's own generator leaves the random numbers of a notebook as they are.
        loader = DataLoader(batches, batch_size=None, num_workers=workers, generator=torch.Generator())
        outputs: list[Tensor] = []
        features: list[Tensor] = []
        with torch.inference_mode():
            for batch in shown(loader, len(batches), progress):
                own, logits = self.encode(batch["x"].tensors)
                outputs.append(logits.cpu())
                if keep_features:
                    features.append(own.cpu())
        return Predictions(inputs.ids(), torch.cat(outputs), torch.cat(features) if features else None, self.task)

    def encode(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return features (b, d) and outputs (b, k) of a batch of raw samples, on the device of the model."""
        rendered = self.run.format.render(tuple(each.to(self.device) for each in raw))
        return self.network(Activation(0, rendered))
