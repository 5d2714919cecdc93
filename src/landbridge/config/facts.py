"""The plain values at the root of a configuration: their types, and their values in the run of a source model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from landbridge.config.slots import SAME
from landbridge.data.label_space import LabelSets
from landbridge.strategies.terms import TermSettings


@dataclass(frozen=True)
class Fact:
    """The requirements of a plain value at the root.

    Attributes:
        hint: its type, with its range.
        optional: whether the value may be null or absent.
        in_source_model: its value in the run that trains a source model for `start=source`.
    """

    hint: Any
    optional: bool = False
    in_source_model: Any = SAME


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+=-]*", name):
        raise ValueError(
            f"{name!r} is not a valid folder name: start with a letter or digit, then use letters, digits, spaces "
            f"and _ . + = -"
        )
    return name


FACTS: Mapping[str, Fact] = {
    "name": Fact(Annotated[str, AfterValidator(_folder_name)], in_source_model="source_model"),
    "seed": Fact(Annotated[int, Ge(0), Lt(2**32)]),
    "target_labels": Fact(Annotated[int, Ge(0)] | Literal["all"], in_source_model="all"),
    "label_sets": Fact(LabelSets, in_source_model="same"),
    "transductive": Fact(bool, in_source_model=False),
    "backbone_lr_scale": Fact(Annotated[float, Ge(0)], optional=True),
    "layer_decay": Fact(Annotated[float, Gt(0)], optional=True),
    "label_smoothing": Fact(Annotated[float, Ge(0), Lt(1)], optional=True),
    # Epochs without a better score of the selection rule after which training stops.
    "patience": Fact(Annotated[int, Gt(0)], optional=True, in_source_model=None),
    "terms": Fact(TermSettings, optional=True, in_source_model=None),
    "continues": Fact(str | None, optional=True, in_source_model=None),
    "checkpoint_every": Fact(Annotated[float, Ge(0)]),
}
