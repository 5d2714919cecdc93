"""The launchers and the sweeper that `-m` uses. Hydra finds plugins in the package `hydra_plugins`.

Hydra imports this file whenever a Hydra program starts, also a program that does not use landbridge. So the file
imports no large packages. Hydra executes the file before it is in `sys.modules`. Dataclasses with postponed annotations
would then fail, so the file has no `from __future__ import annotations`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class LauncherConf:
    """Settings of `hydra/launcher=landbridge`. `landbridge.sweeps.options.Options` describes them."""

    _target_: str = "hydra_plugins.landbridge.plugins.LandbridgeLauncher"
    n_jobs: int = 1
    threads: Optional[int] = None  # noqa: UP045 -- OmegaConf 2.3 does not accept `int | None`
    gpus_per_job: int = 0
    retry_failed: bool = False
    dry_run: bool = False
    warm: bool = True
    pack: Any = "off"


@dataclass
class SlurmConf:
    """Settings of `hydra/launcher=slurm`. `landbridge.sweeps.slurm.SlurmOptions` describes them."""

    _target_: str = "hydra_plugins.landbridge.plugins.SlurmLauncher"
    n_jobs: int = 100
    timeout_min: int = 240
    requeues: int = 10
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 4
    gpus_per_node: int = 0
    mem_gb: Optional[float] = None  # noqa: UP045
    partition: Optional[str] = None  # noqa: UP045
    more: dict[str, Any] = field(default_factory=dict)
    retry_failed: bool = False
    dry_run: bool = False
    cluster: str = "slurm"


@dataclass
class SweeperConf:
    """Settings of `hydra/sweeper=landbridge`. `landbridge.sweeps.grid.sweep` describes them."""

    _target_: str = "hydra_plugins.landbridge.plugins.LandbridgeSweeper"
    params: dict[str, str] = field(default_factory=dict)
    distinct: list[str] = field(default_factory=list)


class LandbridgeLauncher(Launcher):
    """Runs every job in its own process. The package `landbridge.sweeps` does the work."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the sweep from the configuration. The task function is not used here: the jobs call it."""
        from landbridge.sweeps.options import Options
        from landbridge.sweeps.sweep import Sweep

        self.sweep = Sweep(hydra_context.config_loader, config, Options(**self.options))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, and return the result of each."""
        return self.sweep.launch(job_overrides, initial_job_idx)


class SlurmLauncher(LandbridgeLauncher):
    """Runs every job as a job of Slurm."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the sweep from the configuration."""
        from landbridge.sweeps.slurm import SlurmOptions, SlurmPool
        from landbridge.sweeps.sweep import Sweep

        self.sweep = Sweep(hydra_context.config_loader, config, SlurmOptions(**self.options), SlurmPool)


class LandbridgeSweeper(Sweeper):
    """Sweeps over every combination of the listed values."""

    def __init__(self, params: dict[str, str], distinct: list[str]) -> None:
        self.params = params
        self.distinct = distinct

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that runs the jobs."""
        from hydra.core.plugins import Plugins

        self.loader = hydra_context.config_loader
        self.master = config
        self.jobs = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Launch every job of the grid."""
        from landbridge.sweeps.grid import sweep

        return sweep(self.loader, self.master, self.jobs, self.params, arguments, self.distinct)


ConfigStore.instance().store(group="hydra/launcher", name="landbridge", node=LauncherConf, provider="landbridge")
ConfigStore.instance().store(group="hydra/launcher", name="slurm", node=SlurmConf, provider="landbridge")
ConfigStore.instance().store(group="hydra/sweeper", name="landbridge", node=SweeperConf, provider="landbridge")
