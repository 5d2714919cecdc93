"""The launcher and the sweeper that `-m` uses, as Hydra finds them.

Hydra imports this file at every start, also of programs that have nothing to do with landbridge, and before it stands
in `sys.modules`: so it imports next to nothing, and annotations are not postponed, which dataclasses would not survive.
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
    """Settings of `hydra/launcher=landbridge`, which `landbridge.sweeps.options.Options` explains."""

    _target_: str = "hydra_plugins.landbridge.plugins.LandbridgeLauncher"
    n_jobs: int = 1
    threads: Optional[int] = None  # noqa: UP045 -- OmegaConf 2.3 reads no other spelling
    gpus_per_job: int = 0
    retry_failed: bool = False
    dry_run: bool = False
    warm: bool = True


@dataclass
class SlurmConf:
    """Settings of `hydra/launcher=slurm`, which `landbridge.sweeps.slurm.SlurmOptions` explains."""

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
    """Settings of `hydra/sweeper=landbridge`, which `landbridge.sweeps.grid` explains."""

    _target_: str = "hydra_plugins.landbridge.plugins.LandbridgeSweeper"
    params: dict[str, str] = field(default_factory=dict)
    distinct: list[str] = field(default_factory=list)


class LandbridgeLauncher(Launcher):
    """Runs every job in a fresh process of its own; tells it in `landbridge.sweeps`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take note of where to compose from; the task is not called here, but by the jobs."""
        from landbridge.sweeps.options import Options
        from landbridge.sweeps.sweep import Sweep

        self.sweep = Sweep(hydra_context.config_loader, config, Options(**self.options))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, and return what each has found."""
        return self.sweep.launch(job_overrides, initial_job_idx)


class SlurmLauncher(LandbridgeLauncher):
    """Runs every job as a job of Slurm."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take note of where to compose from."""
        from landbridge.sweeps.slurm import SlurmOptions, SlurmPool
        from landbridge.sweeps.sweep import Sweep

        self.sweep = Sweep(hydra_context.config_loader, config, SlurmOptions(**self.options), SlurmPool)


class LandbridgeSweeper(Sweeper):
    """Sweeps over the grid of all values."""

    def __init__(self, params: dict[str, str], distinct: list[str]) -> None:
        self.params = params
        self.distinct = distinct

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        from hydra.core.plugins import Plugins

        self.loader = hydra_context.config_loader
        self.jobs = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Launch every job of the grid."""
        from landbridge.sweeps.grid import sweep

        return sweep(self.loader, self.jobs, self.params, arguments, self.distinct)


ConfigStore.instance().store(group="hydra/launcher", name="landbridge", node=LauncherConf, provider="landbridge")
ConfigStore.instance().store(group="hydra/launcher", name="slurm", node=SlurmConf, provider="landbridge")
ConfigStore.instance().store(group="hydra/sweeper", name="landbridge", node=SweeperConf, provider="landbridge")
