"""One of several processes, started as by torchrun. It runs the commands that it reads, one after the other."""

import json
import sys
from contextlib import suppress

from hydra.core.global_hydra import GlobalHydra

from landbridge.__main__ import main
from landbridge.run.epochs import Epochs


def stop(self, trainer, *arguments):
    """Fail after the first step of the third epoch."""
    if trainer.current_epoch == 2:
        raise RuntimeError("the power went off")


if __name__ == "__main__":
    for command in json.load(sys.stdin):
        GlobalHydra.instance().clear()
        sys.argv = ["landbridge", *command["arguments"]]
        if command["stops"]:
            Epochs.on_train_batch_end = stop
            with suppress(RuntimeError, SystemExit):
                main()
            del Epochs.on_train_batch_end
        else:
            main()
