"""Strategies: one short file per method, each a LightningModule with the streams it needs and its loss."""

from landbridge.strategies.adabn import AdaBN
from landbridge.strategies.adamatch import AdaMatch
from landbridge.strategies.adda import ADDA
from landbridge.strategies.base import Strategy
from landbridge.strategies.bn_adapt import BNAdapt
from landbridge.strategies.bnm import BNM
from landbridge.strategies.bsp import BSP
from landbridge.strategies.cdan import CDAN
from landbridge.strategies.dan import DAN
from landbridge.strategies.dann import DANN
from landbridge.strategies.deepcoral import DeepCORAL
from landbridge.strategies.deepjdot import DeepJDOT
from landbridge.strategies.dsbn import DSBN
from landbridge.strategies.entropy_minimisation import EntropyMinimisation
from landbridge.strategies.fixmatch import FixMatch
from landbridge.strategies.gaussian_model import GaussianModel
from landbridge.strategies.gmm_prototypes import GMMPrototypes
from landbridge.strategies.jan import JAN
from landbridge.strategies.mcc import MCC
from landbridge.strategies.mcd import MCD
from landbridge.strategies.mdd import MDD
from landbridge.strategies.mme import MME
from landbridge.strategies.output import Output
from landbridge.strategies.pseudo_label import PseudoLabel
from landbridge.strategies.safn import SAFN
from landbridge.strategies.shot import SHOT
from landbridge.strategies.supervised import LinearProbe, SourceOnly, TargetOnly
from landbridge.strategies.swd import SWD
from landbridge.strategies.tent import TENT

__all__ = [
    "ADDA",
    "BNM",
    "BSP",
    "CDAN",
    "DAN",
    "DANN",
    "DSBN",
    "JAN",
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
    "BNAdapt",
    "DeepCORAL",
    "DeepJDOT",
    "EntropyMinimisation",
    "FixMatch",
    "GMMPrototypes",
    "GaussianModel",
    "LinearProbe",
    "Output",
    "PseudoLabel",
    "SourceOnly",
    "Strategy",
    "TargetOnly",
]
