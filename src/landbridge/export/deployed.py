"""The model that is exported: raw samples in, outputs, probabilities and features out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim

from landbridge.data.formats import ImageFormat, TextFormat, VectorFormat
from landbridge.models.network import Network
from landbridge.predict.finished_run import FinishedRun
from landbridge.tasks import Task

#: Samples of the example that the exporters trace. A batch of one would become a constant.
TRACED = 3


class Deployed(nn.Module):
    """The network of a finished run, with the normalisation of images as its first and probabilities as its last step.

    Args:
        run: the finished run.
    """

    def __init__(self, run: FinishedRun) -> None:
        super().__init__()
        self.network: Network = run.network
        self.task: Task = run.task

    #: Names of the inputs.
    inputs: Sequence[str]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in their order."""
        scores = self.task.probabilities(torch.zeros(1, self.task.outputs)) is not None
        return ["outputs", *(["probabilities"] if scores else []), "features"]

    def outputs_of(self, rendered: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return what `outputs` names, from the input of the backbone."""
        features = self.network.narrowed(self.network.backbone(*rendered))
        outputs = self.network.outputs_of(features)
        probabilities = self.task.probabilities(outputs)
        return (outputs, features) if probabilities is None else (outputs, probabilities, features)

    def sizes(self) -> dict[str, dict[int, Dim]]:
        """Return the sizes that may differ between calls, by input and dimension."""
        return {name: {0: Dim("batch", min=1)} for name in self.inputs}

    def example(self, n: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Return n random samples."""
        raise NotImplementedError


class DeployedImages(Deployed):
    """Takes uint8 images (n, channels, height, width) of the size of the network."""

    scale: Tensor
    shift: Tensor
    inputs = ("images",)

    def __init__(self, run: FinishedRun, format: ImageFormat) -> None:
        super().__init__(run)
        self.shape = (format.channels, *format.size)
        mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (format.mean, format.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of raw images."""
        return self.outputs_of((torch.addcmul(self.shift, images.float(), self.scale),))

    def example(self, n: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Return images of noise."""
        generator = torch.Generator().manual_seed(seed)
        return (torch.randint(0, 256, (n, *self.shape), generator=generator, dtype=torch.uint8),)


class DeployedVectors(Deployed):
    """Takes float32 vectors (n, width)."""

    inputs = ("vectors",)

    def __init__(self, run: FinishedRun, format: VectorFormat) -> None:
        super().__init__(run)
        self.width = format.width

    def forward(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of vectors."""
        return self.outputs_of((vectors,))

    def example(self, n: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Return vectors of noise."""
        return (torch.randn(n, self.width, generator=torch.Generator().manual_seed(seed)),)


class DeployedTexts(Deployed):
    """Takes token ids int64 (n, t) and a mask bool (n, t), which is true for tokens and false for padding."""

    inputs = ("ids", "mask")

    def __init__(self, run: FinishedRun, format: TextFormat) -> None:
        super().__init__(run)
        self.format = format

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of token ids."""
        return self.outputs_of((ids, mask))

    def sizes(self) -> dict[str, dict[int, Dim]]:
        """Return the sizes that may differ between calls: the number of texts and that of tokens."""
        batch, tokens = Dim("batch", min=1), Dim("tokens", min=2, max=self.format.longest)
        return {name: {0: batch, 1: tokens} for name in self.inputs}

    def example(self, n: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Return texts of random tokens."""
        return self.format.example(n, torch.Generator().manual_seed(seed))


def deployed(run: FinishedRun) -> Deployed:
    """Return the model of a run in evaluation mode, on the CPU."""
    if isinstance(run.format, ImageFormat):
        model: Deployed = DeployedImages(run, run.format)
    elif isinstance(run.format, VectorFormat):
        model = DeployedVectors(run, run.format)
    else:
        model = DeployedTexts(run, run.format)
    return model.cpu().eval()
