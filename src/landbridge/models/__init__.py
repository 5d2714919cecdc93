"""Networks: backbones with a head, their initial weights, and the choice of parameters that may train."""
