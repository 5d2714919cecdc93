"""The domain discriminator of adversarial methods. It distinguishes source features from target features."""

from torch import nn


def domain_discriminator(inputs: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """Build a domain discriminator with two hidden layers (Ganin et al., 2016, arXiv:1505.07818, section 5.2).

    Args:
        inputs: width of the inputs.
        hidden: width of both hidden layers.
        dropout: share of both hidden layers' outputs that training sets to 0.

    Returns:
        A network that maps (b, inputs) to domain logits (b, 1). Positive logits mean the source.
    """
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(inplace=True),
        *drop,
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        *drop,
        nn.Linear(hidden, 1),
    )
