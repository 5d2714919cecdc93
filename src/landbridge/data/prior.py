"""Sub-sampling of a domain to stated shares of its classes, to measure what a method assumes about them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.data.digests import Digests
from landbridge.errors import LandbridgeError, nearest
from landbridge.tasks import Classification, Task

#: Shares by class name, or in the order of the classes, or one number: how many times the first class of a geometric
#: long tail is as frequent as the last. Shares count relative to their sum.
Prior = Annotated[float, Ge(1)] | Mapping[str, Annotated[float, Gt(0)]] | Sequence[Annotated[float, Gt(0)]]


def class_shares(prior: Prior, task: Task, where: str) -> dict[str, float]:
    """Return the share of each class of a domain.

    Args:
        prior: the setting.
        task: of the domain.
        where: name of the domain, for messages.

    Returns:
        shares by class name, in (0, 1); their sum is 1. The shares of a long tail with the ratio $r$ over $k$ classes
        are in proportion to $r^{-i/(k-1)}$ for class $i$ from 0 on (Cao et al., 2019, arXiv:1906.07413).

    Raises:
        LandbridgeError: the task has not one class a sample, or the prior does not name every class.
    """
    names = task.names
    if not isinstance(task, Classification):
        raise LandbridgeError(
            f"domain {where}: prior needs one class a sample, and the task is {task.kind.replace('_', ' ')}; set "
            "prior=null"
        )
    if isinstance(prior, Mapping):
        for name in prior:
            if name not in names:
                best = nearest(name, list(names))
                raise LandbridgeError(
                    f"domain {where}: prior names the class '{name}', which is none of {', '.join(names)}"
                    + (f"; nearest: '{best}'" if best else "")
                )
        if lacking := [name for name in names if name not in prior]:
            raise LandbridgeError(f"domain {where}: prior gives no share for {', '.join(lacking)}; name every class")
        shares = [prior[name] for name in names]
    elif isinstance(prior, Sequence):
        if len(prior) != len(names):
            raise LandbridgeError(
                f"domain {where}: prior has {len(prior)} shares, and the domain has {len(names)} classes: "
                f"{', '.join(names)}"
            )
        shares = list(prior)
    else:
        shares = [prior ** (-index / max(1, len(names) - 1)) for index in range(len(names))]
    return {name: share / sum(shares) for name, share in zip(names, shares, strict=True)}


def sampled(labels: Tensor, shares: Sequence[float], contents: Digests) -> Tensor:
    """Choose as many samples as possible so that the classes have the stated shares.

    The samples of a class are chosen by a hash of their contents. So the choice is the same in every order of the
    samples, and for every split.

    Args:
        labels: classes (n,); samples without a label are left out.
        shares: of the classes, above 0 (k,).
        contents: hash of the content of each sample (n,).

    Returns:
        sorted int64 positions (m,). Each class has its share of m, rounded down, and at least one sample if it has any.
    """
    counts = labels[labels >= 0].bincount(minlength=len(shares)).numpy()
    total = min((count / share for count, share in zip(counts, shares, strict=True) if count), default=0.0)
    wanted = [int(total * share + 1e-9) for share in shares]
    order = contents.keyed(b"prior").items().argsort(kind="stable")
    classes = labels.numpy()[order]
    kept = [order[classes == index][: max(1, count)] for index, count in enumerate(wanted)]
    return torch.from_numpy(np.sort(np.concatenate(kept)))


def named(name: str, prior: Prior, shares: Mapping[str, float]) -> str:
    """Return a name that tells the prior: `digits_long_tail_10`, or `digits_prior_` and a hash of the shares."""
    if isinstance(prior, int | float):
        return f"{name}_long_tail_{prior:g}"
    written = ",".join(f"{share:.6g}" for share in shares.values())
    return f"{name}_prior_{hashlib.blake2b(written.encode(), digest_size=3).hexdigest()}"
