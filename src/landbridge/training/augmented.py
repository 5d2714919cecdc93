"""The images of labelled streams, augmented on the device that trains."""

import numpy as np
import torch

from landbridge.data.activations import Activation
from landbridge.data.augment_policies import Augment, Change
from landbridge.data.image_changes import EachImage
from landbridge.data.streams import Batch


def generator_of(change: Change | None, device: torch.device, *numbers: int, name: str = "") -> torch.Generator:
    """Return the generator of the random numbers of one batch.

    Args:
        change: the change that draws them. Transforms of torchvision draw on the CPU.
        device: the device of the images.
        *numbers: seed, step and process.
        name: name of the stream or the view. Therefore streams do not have the same random numbers.
    """
    seed = int(np.random.SeedSequence([*numbers, *name.encode()]).generate_state(1, np.uint64)[0])
    place = "cpu" if change is None or isinstance(change, EachImage) else device
    return torch.Generator(place).manual_seed(seed % 2**63)


def augmented(name: str, batch: Batch, change: Change | None, augment: Augment, *numbers: int) -> Batch:
    """Change the images of a labelled batch, and mix them.

    Args:
        name: name of the stream.
        batch: the batch of the stream.
        change: changes each image; None leaves them as they are.
        augment: mixes pairs of images.
        *numbers: seed, step and process, which determine the random numbers.

    Returns:
        The batch with other images. If they are mixed, `other` holds the labels of each image's partner (b, ...). The
        shares of both are factors of `weights` and `other_weights` (b,).
    """
    if isinstance(batch["x"], dict):
        # The views were drawn before training, and are stored by name. They are never mixed.
        return batch | {"x": batch["x"][name]}
    (images,) = batch["x"].tensors
    if not len(images):
        return batch
    if change is not None:
        images = change(images, generator_of(change, images.device, *numbers, name=name))
    more = {}
    if augment.mixes:
        images, partner, share = augment.mix(images, generator_of(None, images.device, *numbers, name=f"mix {name}"))
        weights = batch.get("weights", torch.ones_like(share))
        more = {
            "weights": share * weights,
            "other": batch["y"][partner],
            "other_weights": (1 - share) * weights[partner],
        }
    return batch | {"x": Activation(0, (images,)), **more}
