"""What a job would spend its first seconds on, done once for all jobs before they are forked."""

import gc
from importlib import import_module

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.sweeps.identity import identity

#: What runs import only where they need it.
LATE = ("landbridge.run.final_table", "mlxtend.data", "sklearn.cluster", "sklearn.datasets", "sklearn.linear_model")


def warm_up() -> None:
    """Import what runs import, also what they import late, and fill the caches of Hydra's parser.

    Nothing is computed: threads that a computation started would be missing in a fork.
    """
    for name in LATE:
        import_module(name)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = OmegaConf.to_container(compose("train"), resolve=True)
    GlobalHydra.instance().clear()
    identity(config)  # type: ignore[arg-type]
    # Forks share the pages of what is never collected.
    gc.collect()
    gc.freeze()
