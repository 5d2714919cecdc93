"""Parameter-efficient tuning: the choice of the backbone's parameters that may train.

It works with every strategy and every freezing depth.
"""

from landbridge.models.tuning.adapters import Adapters, restore_adapters
from landbridge.models.tuning.lora import LoRA, merge_lora
from landbridge.models.tuning.tuning import BitFit, Tuning

__all__ = ["Adapters", "BitFit", "LoRA", "Tuning", "merge_lora", "restore_adapters"]
