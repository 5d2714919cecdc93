"""The settings of a sweep, which a user sets as `hydra.launcher.x=...`."""

from dataclasses import dataclass

from landbridge.errors import LandbridgeError


@dataclass(frozen=True)
class Options:
    """Settings of the launcher.

    Attributes:
        n_jobs: number of jobs that run at the same time.
        threads: threads of each process of a job; None divides the cores among the jobs.
        gpus_per_job: number of visible GPUs that each job has for itself; with 0, every job sees all GPUs.
        retry_failed: whether jobs that have failed before run again.
        dry_run: whether to compose and check all jobs, print a table of them, and start none.
        warm: whether jobs are forked from a helper process that has already imported all modules.
        pack: whether jobs train together in one process (`landbridge.packs`): `off`; `auto`, which makes one pack for
            each of the `n_jobs` processes of jobs that fit together; or the largest number of jobs in a pack.
    """

    n_jobs: int = 1
    threads: int | None = None
    gpus_per_job: int = 0
    retry_failed: bool = False
    dry_run: bool = False
    warm: bool = True
    pack: str | int | bool = "off"

    def __post_init__(self) -> None:
        for name, least in (("n_jobs", 1), ("threads", 1), ("gpus_per_job", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise LandbridgeError(f"hydra.launcher.{name}={value}: the value must be at least {least}")
        if self.pack is False:  # YAML reads `off` as false
            object.__setattr__(self, "pack", "off")
        if self.pack not in ("off", "auto") and (not isinstance(self.pack, int) or self.pack is True or self.pack < 1):
            raise LandbridgeError(
                f"hydra.launcher.pack={self.pack}: the value must be off, auto, or the largest number of jobs in a pack"
            )
