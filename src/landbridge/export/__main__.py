"""The command `landbridge-export RUN FILE`: write the model of a finished run for use without landbridge."""

import argparse
import os
import sys
from pathlib import Path

from landbridge.errors import LandbridgeError
from landbridge.record import finished_record, selected_checkpoint

ENDINGS = (".onnx", ".pt2", ".safetensors")


def main(arguments: list[str] | None = None) -> None:
    """Run `landbridge-export` or `python -m landbridge.export`.

    Args:
        arguments: command-line arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="landbridge-export", description=(
        "Write the model of a finished run as ONNX (.onnx), as a program of torch.export (.pt2), or as plain weights "
        "of timm or transformers (.safetensors). The written file is compared with the model."
    ))  # fmt: skip
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("file", type=Path, metavar="FILE", help=f"the file to write: {', '.join(ENDINGS)}")
    options = parser.parse_args(arguments)
    try:
        print(export(options.run.expanduser(), options.file.expanduser()))
    except LandbridgeError as error:
        sys.exit(f"landbridge-export: {error}")


def export(run: Path, file: Path) -> str:
    """Write the model of a finished run, and return one line about the file.

    Raises:
        LandbridgeError: there is no such run, the ending is unknown, or the model cannot be exported.
    """
    selected_checkpoint(run, finished_record(run))
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise LandbridgeError(f"{file} must end in one of {', '.join(ENDINGS)}")
    if not file.parent.is_dir():
        raise LandbridgeError(f"cannot write {file}: there is no folder {file.parent}")
    # These modules import torch, which takes seconds.
    from landbridge.export.deployed import deployed
    from landbridge.export.description import metadata
    from landbridge.export.graphs import write_exported_program, write_onnx
    from landbridge.export.weights import write_weights
    from landbridge.predict.finished_run import open_run

    opened = open_run(run)
    try:
        if ending == ".safetensors":
            how, difference = write_weights(opened.network, file, metadata(opened))
        else:
            write = write_onnx if ending == ".onnx" else write_exported_program
            how, difference = "", write(deployed(opened), file, metadata(opened))
    except LandbridgeError:
        file.unlink(missing_ok=True)  # it is not what it should be
        raise
    except OSError as error:
        raise LandbridgeError(f"cannot write {file}: {error.strerror or error}") from error
    compared = "" if difference is None else f", differs from the model by at most {difference:.1e}"
    return f"{file}: {os.path.getsize(file) / 1e6:.1f} MB{compared}{f'; load it with {how}' if how else ''}"  # noqa: PTH202


if __name__ == "__main__":
    main()
