"""A domain with something wrong about it, to see what a bad source does."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge

from landbridge.data.domain import Domain, Split
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError

How = Literal["inverted", "permuted", "random_labels"]


def altered(domain: Domain, how: How, seed: Annotated[int, Ge(0)] = 0) -> Domain:
    """Alter a domain of images that lie in memory; its splits stay as they are.

    Args:
        domain: as it was.
        how: `inverted`: bright becomes dark. `permuted`: the pixels of all images change places in the same way, so
            that labels can still be learned and neighbourhoods mean nothing. `random_labels`: the labels of every split
            change places, so that nothing can be learned from them.
        seed: of places.

    Raises:
        LandbridgeError: the domain is not made of images that lie in memory.
    """
    name = f"{domain.name}_{how}"
    generator = torch.Generator().manual_seed(seed)
    splits = {}
    for split, part in domain.splits.items():
        if domain.modality != "image" or not isinstance(part.inputs, TensorInputs):
            raise LandbridgeError(f"{name}: only images that lie in memory can be altered; {domain.name} has others")
        images, labels = part.inputs.tensor, part.labels.open(f"altered: {how}")
        if how == "inverted":
            images = 255 - images
        elif how == "permuted":
            # Seeded anew for each split, so that pixels change places alike in all of them.
            places = torch.randperm(images[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
            images = images.flatten(2)[..., places].view_as(images)
        else:
            labels = labels[torch.randperm(len(labels), generator=generator)]
        splits[split] = Split(TensorInputs(images), Labels(labels, domain.task, f"{name} {split}"))
    return Domain(name, domain.task, splits, domain.image_kind)
