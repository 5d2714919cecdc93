"""A warning about numbers of very different scale, because a network learns the largest ones and little else."""

import logging

import torch

from landbridge.data.domain import Domain

log = logging.getLogger(__name__)

#: Ratio of the deviations of two columns from which the warning is logged.
FAR_APART = 1e3
#: Samples that are read.
READ = 10_000


def warn_of_scales(role: str, domain: Domain) -> None:
    """Log a warning if the training samples of a domain are vectors whose columns differ very much in deviation.

    Constant columns do not count. No label is read.

    Args:
        role: `source` or `target`.
        domain: the domain.
    """
    inputs = domain.splits["train"].inputs
    if domain.modality != "vector":
        return
    x = inputs.read(torch.arange(min(len(inputs), READ)), None)[0].double()
    deviations = x.std(dim=0, correction=0)
    varied = deviations.nonzero().flatten()
    if not len(varied):
        return
    low, high = (int(varied[place(deviations[varied])]) for place in (torch.argmin, torch.argmax))
    if deviations[high] < FAR_APART * deviations[low]:
        return
    names = domain.summary().get("inputs", {}).get("columns") or range(len(deviations))
    log.warning(
        "%s %s: the columns differ very much in scale (deviation %.3g in column %s, %.3g in column %s), and networks "
        "learn little from the small ones; standardise the columns before writing the file, with the statistics of "
        "training samples",
        role, domain.name, deviations[low], names[low], deviations[high], names[high],
    )  # fmt: skip
