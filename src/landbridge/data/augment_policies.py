"""How training changes the images of labelled streams: the options of the config group `augment`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torchvision.transforms import v2

from landbridge.data.augment import VIEWS, Augmentation, ImageKind
from landbridge.data.image_changes import Crop, EachImage, InTurn
from landbridge.data.mixing import mix
from landbridge.errors import LandbridgeError

#: Changes a batch of images (b, c, h, w) with values from 0 to 255.
Change = Callable[[Tensor, torch.Generator | None], Tensor]
Share = Annotated[float, Ge(0), Le(1)]
#: Smallest share of the area that a crop keeps. A smaller part of a digit may look like another digit.
LEAST_AREA: Mapping[ImageKind, float] = {"digits": 0.8, "photographs": 0.35}
#: Probability of a mirrored image. A mirrored digit is no digit.
FLIP: Mapping[ImageKind, float] = {"digits": 0.0, "photographs": 0.5}
GREY = 127.0


class Augment(ABC):
    r"""Random changes of labelled images in training, on the device that trains.

    They are drawn for each image, and they change neither validation nor test images. Random numbers are a function of
    seed, step, process and stream. An option that changes nothing but what the settings below say is `Unchanged`.

    Args:
        random_erasing: probability that a rectangle of an image is set to mid-grey (random erasing: Zhong et al., 2020,
            arXiv:1708.04896).
        mixup: $\alpha$ of mixup (Zhang et al., 2018, arXiv:1710.09412), which averages pairs of images; 0: none.
        cutmix: $\alpha$ of CutMix (Yun et al., 2019, arXiv:1905.04899), which pastes a rectangle of one image into
            another; 0: none. If both are above 0, each batch has one of them, with equal probability.
    """

    def __init__(
        self, random_erasing: Share = 0.0, mixup: Annotated[float, Ge(0)] = 0.0, cutmix: Annotated[float, Ge(0)] = 0.0
    ) -> None:
        self.random_erasing = random_erasing
        self.mixup = mixup
        self.cutmix = cutmix

    @abstractmethod
    def policy(self, kind: ImageKind) -> Change | None:
        """Return the changes of a domain's images before an erasing; None if there are none.

        Args:
            kind: what the images show.

        Raises:
            LandbridgeError: the changes may change the class of such images.
        """

    def change(self, kind: ImageKind) -> Change | None:
        """Return the changes of each image; see `policy`. Mixing is not among them."""
        erasing = EachImage(v2.RandomErasing(self.random_erasing, value=GREY)) if self.random_erasing else None
        changes = [each for each in (self.policy(kind), erasing) if each]
        return InTurn(tuple(changes)) if len(changes) > 1 else next(iter(changes), None)

    @property
    def mixes(self) -> bool:
        """Whether pairs of images are mixed."""
        return bool(self.mixup or self.cutmix)

    def mix(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mix pairs of images; see `landbridge.data.mixing.mix`."""
        return mix(images, self.mixup, self.cutmix, generator)


class Unchanged(Augment):
    """No change but erasing, mixup and CutMix."""

    def policy(self, kind: ImageKind) -> None:
        """Return None."""
        return


class Weak(Augment):
    """The weak changes of FixMatch: a shift, and for photographs a mirror image for half of them.

    Digits are shifted by up to 5 % of their size, photographs by up to 12.5 %.
    """

    def policy(self, kind: ImageKind) -> Augmentation:
        """Return the weak augmentation of `landbridge.data.augment.VIEWS`."""
        return VIEWS[kind].weak


class Affine(Augment):
    """Rotation, shift and zoom, without a mirror image: for digits, letters and other signs.

    Args:
        rotation: largest angle in either direction, in degrees.
        shift: largest shift in either direction, as a share of height and of width.
        zoom: largest change of size in either direction: the factor lies between 1 / (1 + zoom) and 1 + zoom.
        **mixing: see `Augment`.
    """

    def __init__(
        self,
        rotation: Annotated[float, Ge(0), Le(180)] = 10.0,
        shift: Share = 0.1,
        zoom: Annotated[float, Ge(0)] = 0.1,
        **mixing: float,
    ) -> None:
        super().__init__(**mixing)
        self.augmentation = Augmentation(rotation=rotation, shift=shift, zoom=zoom)

    def policy(self, kind: ImageKind) -> Augmentation:
        """Return the configured changes."""
        return self.augmentation


class FlipCrop(Augment):
    """A random crop, resized to the image's own size, and a mirror image with some probability.

    Args:
        area: smallest share of the area that a crop keeps. None: 0.35 for photographs and 0.8 for digits. The usual
            0.08 is meant for training on ImageNet from scratch.
        flip: probability of a mirror image. None: 0.5 for photographs and 0 for digits.
        **mixing: see `Augment`.
    """

    def __init__(
        self, area: Annotated[float, Gt(0), Le(1)] | None = None, flip: Share | None = None, **mixing: float
    ) -> None:
        super().__init__(**mixing)
        self.area = area
        self.flip = flip

    def policy(self, kind: ImageKind) -> EachImage:
        """Return crop and mirror image."""
        return EachImage(v2.Compose(self.steps(kind)))

    def steps(self, kind: ImageKind) -> list[nn.Module]:
        """Return the transforms of one image, in their order."""
        area = LEAST_AREA[kind] if self.area is None else self.area
        return [Crop(area), v2.RandomHorizontalFlip(FLIP[kind] if self.flip is None else self.flip)]


class RandAugment(FlipCrop):
    """RandAugment (Cubuk et al., 2020, arXiv:1909.13719) after crop and mirror image.

    Args:
        operations: number of changes of each image.
        magnitude: their strength, from 0 to 30.
        **flip_crop: see `FlipCrop`.
    """

    def __init__(
        self,
        operations: Annotated[int, Gt(0)] = 2,
        magnitude: Annotated[int, Ge(0), Le(30)] = 9,
        **flip_crop: float | None,
    ) -> None:
        super().__init__(**flip_crop)  # pyright: ignore[reportArgumentType] -- each setting has a type of its own
        self.operations = operations
        self.magnitude = magnitude

    def steps(self, kind: ImageKind) -> list[nn.Module]:
        """Return crop, mirror image and the random changes."""
        return [*super().steps(kind), v2.RandAugment(self.operations, self.magnitude)]


class TrivialAugment(FlipCrop):
    """TrivialAugment, wide (Müller & Hutter, 2021, arXiv:2103.10158), after crop and mirror image.

    Each image has one change of random strength. It has no settings of its own.

    Raises:
        LandbridgeError: a domain shows digits. Rotations by up to 135 degrees would turn a 6 into a 9.
    """

    def steps(self, kind: ImageKind) -> list[nn.Module]:
        """Return crop, mirror image and the random change."""
        if kind == "digits":
            raise LandbridgeError(
                "augment: TrivialAugment rotates by up to 135 degrees, which turns a 6 into a 9: "
                "for images of digits choose augment=digits or augment=randaugment"
            )
        return [*super().steps(kind), v2.TrivialAugmentWide()]
