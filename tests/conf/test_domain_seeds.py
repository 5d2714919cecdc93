"""Every domain of the configuration folder splits by the seed of the run."""

import inspect

import pytest
from hydra.utils import get_method
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.config.source_model import source_model

FILES = sorted((conf_folder() / "domain").glob("*.yaml"))


def nodes(node):
    """Return a node and the domains inside it."""
    if not isinstance(node, dict):
        return []
    return [*([node] if "_target_" in node else []), *(each for value in node.values() for each in nodes(value))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_split_seed_is_the_seed_of_the_run(file):
    written = OmegaConf.to_container(OmegaConf.load(file))
    for node in nodes(written):
        takes = inspect.signature(get_method(node["_target_"])).parameters
        assert node.get("split_seed") == ("${seed}" if "split_seed" in takes else None)
        assert ("stratify" in takes) == ("split_seed" in takes)


def test_a_run_and_its_source_model_split_by_the_seed(compose):
    cfg = compose("source=uci_digits+mnist_5k_inverted", "target=mnist_5k", "start=source", "seed=3")
    assert cfg.target.split_seed == 3
    assert cfg.source.domains.uci_digits.split_seed == 3
    assert source_model(cfg).config.target.domains.mnist_5k_inverted.domain.split_seed == 3
    assert compose("target=mnist_5k", "target.split_seed=0", "seed=3").target.split_seed == 0
