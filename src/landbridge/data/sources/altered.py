"""A domain with a deliberate defect, to measure the effect of a bad source."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge

from landbridge.data.domain import Domain, Split
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError

How = Literal["inverted", "permuted", "random_labels"]


def altered(domain: Domain, how: How, seed: Annotated[int, Ge(0)] = 0) -> Domain:
    """Alter the images or the labels of a domain in memory; each split keeps its samples.

    Args:
        domain: the domain to alter.
        how: `inverted`: bright becomes dark. `permuted`: the pixels of all images are permuted in the same way, so that
            labels can still be learned, but neighbouring pixels are unrelated. `random_labels`: the labels of every
            split are permuted, so that nothing can be learned from them.
        seed: seed of the permutations.

    Raises:
        LandbridgeError: the domain holds vectors, or images in files.
    """
    name = f"{domain.name}_{how}"
    generator = torch.Generator().manual_seed(seed)
    splits = {}
    for split, part in domain.splits.items():
        if domain.modality != "image" or not isinstance(part.inputs, TensorInputs):
            raise LandbridgeError(f"{name}: only images in memory can be altered; {domain.name} has other inputs")
        images, labels = part.inputs.tensor, part.labels.open(f"altered: {how}")
        if how == "inverted":
            images = 255 - images
        elif how == "permuted":
            # The same seed for each split, so that the pixels of all splits are permuted in the same way.
            places = torch.randperm(images[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
            images = images.flatten(2)[..., places].view_as(images)
        else:
            labels = labels[torch.randperm(len(labels), generator=generator)]
        splits[split] = Split(
            TensorInputs(images, rows=part.inputs.rows), Labels(labels, domain.task, f"{name} {split}")
        )
    design = {key: value for key, value in domain.design.items() if key != "pool"}  # it holds other samples
    return replace(domain, name=name, splits=splits, design=design)
