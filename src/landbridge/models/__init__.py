"""Networks: backbones with a head, the weights that they start from, and which of their parameters may train."""
