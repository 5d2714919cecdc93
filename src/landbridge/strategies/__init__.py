"""Strategies: one short file per method, each a LightningModule with the streams it needs and its loss."""

from landbridge.strategies.adabn import AdaBN
from landbridge.strategies.adamatch import AdaMatch
from landbridge.strategies.adda import ADDA
from landbridge.strategies.as_is import AsIs
from landbridge.strategies.base import Strategy
from landbridge.strategies.bi_tuning import BiTuning
from landbridge.strategies.bn_adapt import BNAdapt
from landbridge.strategies.bnm import BNM
from landbridge.strategies.bsp import BSP
from landbridge.strategies.bss import BSS
from landbridge.strategies.cdan import CDAN
from landbridge.strategies.co_tuning import CoTuning
from landbridge.strategies.dan import DAN
from landbridge.strategies.dann import DANN
from landbridge.strategies.deepcoral import DeepCORAL
from landbridge.strategies.deepjdot import DeepJDOT
from landbridge.strategies.delta import DELTA
from landbridge.strategies.dsbn import DSBN
from landbridge.strategies.entropy_minimisation import EntropyMinimisation
from landbridge.strategies.fixmatch import FixMatch
from landbridge.strategies.gaussian_model import GaussianModel
from landbridge.strategies.gmm_prototypes import GMMPrototypes
from landbridge.strategies.jan import JAN
from landbridge.strategies.l2_sp import L2SP
from landbridge.strategies.linear_probes import LinearProbes
from landbridge.strategies.logistic_regression import LogisticRegression
from landbridge.strategies.lwf import LwF
from landbridge.strategies.mcc import MCC
from landbridge.strategies.mcd import MCD
from landbridge.strategies.mdd import MDD
from landbridge.strategies.mme import MME
from landbridge.strategies.nearest_mean import NearestMean
from landbridge.strategies.nearest_neighbours import NearestNeighbours
from landbridge.strategies.output import Output
from landbridge.strategies.pseudo_label import PseudoLabel
from landbridge.strategies.safn import SAFN
from landbridge.strategies.shot import SHOT
from landbridge.strategies.soup import Soup
from landbridge.strategies.stoch_norm import StochNorm
from landbridge.strategies.supervised import LinearProbe, SourceOnly, TargetOnly
from landbridge.strategies.swd import SWD
from landbridge.strategies.tent import TENT
from landbridge.strategies.wise_ft import WiSEFT

__all__ = [
    "ADDA",
    "BNM",
    "BSP",
    "BSS",
    "CDAN",
    "DAN",
    "DANN",
    "DELTA",
    "DSBN",
    "JAN",
    "L2SP",
    "MCC",
    "MCD",
    "MDD",
    "MME",
    "SAFN",
    "SHOT",
    "SWD",
    "TENT",
    "AdaBN",
    "AdaMatch",
    "AsIs",
    "BNAdapt",
    "BiTuning",
    "CoTuning",
    "DeepCORAL",
    "DeepJDOT",
    "EntropyMinimisation",
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
    "PseudoLabel",
    "Soup",
    "SourceOnly",
    "StochNorm",
    "Strategy",
    "TargetOnly",
    "WiSEFT",
]
