"""A cache for functions of features: a result is computed again only if the features have changed."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

#: Results that are kept of each function: the runs of a pack have validation splits of their own, and take turns.
KEPT = 256


def of_features(compute: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Tensor, P], R]:
    """Cache the last results of a function of features (n, d).

    Its other arguments may be features too. All others must have an unambiguous `repr`. If all stages are frozen,
    validation features are the same in every epoch, and also in every run of a sweep in the same process. The features
    are compared by a hash of their bytes, which takes a thousandth of the time of a clustering.
    """
    last: dict[tuple[Any, ...], R] = {}

    @wraps(compute)
    def cached(features: Tensor, *args: P.args, **kwargs: P.kwargs) -> R:
        key = (*map(_content, (features, *args)), *((name, _content(each)) for name, each in kwargs.items()))
        if key not in last:
            result = compute(features, *args, **kwargs)
            last[key] = result
            if len(last) > KEPT:
                del last[next(iter(last))]
        return last[key]

    return cached


def _content(argument: Any) -> Any:
    """Return what determines an argument: for a tensor, a hash of its bytes."""
    if not isinstance(argument, Tensor):
        return repr(argument)
    content = argument.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return digest, tuple(argument.shape), str(argument.dtype)
