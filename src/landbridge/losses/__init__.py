"""Losses of transfer learning as pure functions of tensors.

A loss is a scalar on the device and in the dtype of its inputs. It is minimised unless its name or docstring says
otherwise. Covariances and distances are inaccurate in half precision. Under mixed precision, call these losses in
float32 and outside autocast.
"""

from landbridge.losses.adamatch import adamatch, aligned_distribution, relative_threshold
from landbridge.losses.co_tuning import class_relationship
from landbridge.losses.contrast import bi_tuning
from landbridge.losses.coral import coral, coral_with_mean
from landbridge.losses.discrepancy import classifier_discrepancy
from landbridge.losses.distance import squared_distances
from landbridge.losses.distillation import distillation
from landbridge.losses.domain_confusion import (
    domain_loss,
    entropy_weights,
    multilinear_map,
    randomised_multilinear_map,
)
from landbridge.losses.feature_maps import attention_shares, delta
from landbridge.losses.gradient_reversal import dann_ramp, reverse_gradient
from landbridge.losses.l2_sp import l2_sp
from landbridge.losses.mdd import mdd_objective, mdd_source, mdd_target
from landbridge.losses.mmd import gaussian_kernel_sum, joint_mmd2, mmd2
from landbridge.losses.norms import safn
from landbridge.losses.prediction import bnm, diversity, entropy, information_maximisation, mcc
from landbridge.losses.pseudo_label import confidence_mask, fixmatch, shot_pseudo_labels
from landbridge.losses.sliced_wasserstein import (
    class_conditional_sliced_wasserstein2,
    random_directions,
    sliced_wasserstein2,
)
from landbridge.losses.spectral import bsp, bss
from landbridge.losses.transport import deepjdot, optimal_plan

__all__ = [
    "adamatch",
    "aligned_distribution",
    "attention_shares",
    "bi_tuning",
    "bnm",
    "bsp",
    "bss",
    "class_conditional_sliced_wasserstein2",
    "class_relationship",
    "classifier_discrepancy",
    "confidence_mask",
    "coral",
    "coral_with_mean",
    "dann_ramp",
    "deepjdot",
    "delta",
    "distillation",
    "diversity",
    "domain_loss",
    "entropy",
    "entropy_weights",
    "fixmatch",
    "gaussian_kernel_sum",
    "information_maximisation",
    "joint_mmd2",
    "l2_sp",
    "mcc",
    "mdd_objective",
    "mdd_source",
    "mdd_target",
    "mmd2",
    "multilinear_map",
    "optimal_plan",
    "random_directions",
    "randomised_multilinear_map",
    "relative_threshold",
    "reverse_gradient",
    "safn",
    "shot_pseudo_labels",
    "sliced_wasserstein2",
    "squared_distances",
]
