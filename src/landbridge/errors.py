"""The one error that users see."""

from hydra.errors import CompactHydraException


class LandbridgeError(CompactHydraException):
    """A mistake that its user can mend.

    The message names the place, the bad value and, where there is one, the nearest valid value. Because it is one of
    Hydra's compact exceptions, the command line prints the message without a traceback and exits with 1;
    `HYDRA_FULL_ERROR=1` still shows where it was raised.
    """

    def __init__(self, message: str) -> None:
        # What is raised in a worker process of a DataLoader comes back with the worker's whole traceback as message.
        super().__init__(message.rpartition("LandbridgeError: ")[2].rstrip())
