"""Mixup and CutMix: pairs of images become one image with the labels of both."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from landbridge.data.image_changes import drawing_from


def mix(images: Tensor, mixup: float, cutmix: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    r"""Mix each image of a batch with the one before it.

    All images of a batch have the same share. It is drawn from $\mathrm{Beta}(\alpha, \alpha)$. In CutMix, the share is
    that of the pixels, after the rectangle is cut at the edges.

    Args:
        images: (b, c, h, w).
        mixup: $\alpha$ of mixup; 0: none.
        cutmix: $\alpha$ of CutMix; 0: none. One of both must be above 0.
        generator: of the random numbers.

    Returns:
        The mixed images, float32 (b, c, h, w); the position of each image's partner (b,); and the image's own share in
        the mixed image (b,), in [0, 1].
    """
    rows = torch.arange(len(images))
    # The label of each image is its position. So the mixed labels hold the shares of the images, for every task.
    ways = [v2.MixUp(alpha=float(mixup), num_classes=len(rows))] if mixup else []
    ways += [v2.CutMix(alpha=float(cutmix), num_classes=len(rows))] if cutmix else []
    with drawing_from(generator, images.device):
        way = ways[int(torch.randint(len(ways), ()))]
        mixed, shares = way(images.float(), rows)
    return mixed, rows.roll(1).to(images.device), shares.diagonal().to(images.device)
