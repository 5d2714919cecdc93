"""Strategies: one short file per method. Each is a LightningModule with the streams it needs and its loss."""

from landbridge.strategies.adversarial.adda import ADDA
from landbridge.strategies.adversarial.cdan import CDAN
from landbridge.strategies.adversarial.dann import DANN
from landbridge.strategies.adversarial.mcd import MCD
from landbridge.strategies.adversarial.mdd import MDD
from landbridge.strategies.base import Strategy
from landbridge.strategies.batch_norm.adabn import AdaBN
from landbridge.strategies.batch_norm.dsbn import DSBN
from landbridge.strategies.fine_tuning.bi_tuning import BiTuning
from landbridge.strategies.fine_tuning.co_tuning import CoTuning
from landbridge.strategies.fine_tuning.delta import DELTA
from landbridge.strategies.fine_tuning.lwf import LwF
from landbridge.strategies.fine_tuning.stoch_norm import StochNorm
from landbridge.strategies.frozen_features.linear_probes import LinearProbes
from landbridge.strategies.frozen_features.logistic_regression import LogisticRegression
from landbridge.strategies.frozen_features.nearest_mean import NearestMean
from landbridge.strategies.frozen_features.nearest_neighbours import NearestNeighbours
from landbridge.strategies.frozen_features.ridge import Ridge
from landbridge.strategies.requirements import Requirements
from landbridge.strategies.self_training.adamatch import AdaMatch
from landbridge.strategies.self_training.fixmatch import FixMatch
from landbridge.strategies.self_training.mme import MME
from landbridge.strategies.source_free.gaussian_model import GaussianModel
from landbridge.strategies.source_free.gmm_prototypes import GMMPrototypes
from landbridge.strategies.source_free.shot import SHOT
from landbridge.strategies.supervised.as_is import AsIs
from landbridge.strategies.supervised.supervised import LinearProbe, SourceOnly, Supervised, TargetOnly
from landbridge.strategies.test_time.bn_adapt import BNAdapt
from landbridge.strategies.test_time.tent import TENT
from landbridge.strategies.weight_space.soup import Soup
from landbridge.strategies.weight_space.wise_ft import WiSEFT
from landbridge.training.output import Output

__all__ = [
    "ADDA",
    "CDAN",
    "DANN",
    "DELTA",
    "DSBN",
    "MCD",
    "MDD",
    "MME",
    "SHOT",
    "TENT",
    "AdaBN",
    "AdaMatch",
    "AsIs",
    "BNAdapt",
    "BiTuning",
    "CoTuning",
    "FixMatch",
    "GMMPrototypes",
    "GaussianModel",
    "LinearProbe",
    "LinearProbes",
    "LogisticRegression",
    "LwF",
    "NearestMean",
    "NearestNeighbours",
    "Output",
    "Requirements",
    "Ridge",
    "Soup",
    "SourceOnly",
    "StochNorm",
    "Strategy",
    "Supervised",
    "TargetOnly",
    "WiSEFT",
]
