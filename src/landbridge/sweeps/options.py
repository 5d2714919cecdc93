"""What a user may set of a sweep, as `hydra.launcher.x=...`."""

from dataclasses import dataclass

from landbridge.errors import LandbridgeError


@dataclass(frozen=True)
class Options:
    """Settings of the launcher.

    Attributes:
        n_jobs: how many jobs run at the same time.
        threads: of each process of a job; None divides the cores among the jobs.
        gpus_per_job: how many of the visible GPUs each job has to itself; 0 leaves all of them to all.
        retry_failed: whether jobs that failed in an earlier call run again.
        dry_run: whether to compose and check all jobs, print their table, and start none.
        warm: whether jobs are forked from a process that has imported everything already.
    """

    n_jobs: int = 1
    threads: int | None = None
    gpus_per_job: int = 0
    retry_failed: bool = False
    dry_run: bool = False
    warm: bool = True

    def __post_init__(self) -> None:
        for name, least in (("n_jobs", 1), ("threads", 1), ("gpus_per_job", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise LandbridgeError(f"hydra.launcher.{name}={value}: at least {least}")
