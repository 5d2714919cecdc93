"""The command `landbridge-predict RUN INPUT...`: predict files with the model of a finished run."""

import argparse
import os
import signal
import sys
from pathlib import Path

from landbridge.errors import LandbridgeError
from landbridge.record import finished_record, selected_checkpoint

#: Exit code of a command that the user stops.
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> None:
    """Run `landbridge-predict` or `python -m landbridge.predict`.

    Args:
        arguments: command-line arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="landbridge-predict", description=(
        "Predict images, tables or texts with the model of a finished run. Without --out, the predictions are printed "
        "as CSV."
    ))  # fmt: skip
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="images and folders of images; tables (.csv, .tsv, "
        ".jsonl, .parquet) with texts, numbers or paths of images; arrays (.npz, .npy); .txt with one text a line",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write: .csv, .jsonl or .parquet")
    parser.add_argument(
        "--columns", type=lambda names: names.split(","), default=[], metavar="A,B",
        help="columns of a table, in order (default: those of the run's own table)",
    )  # fmt: skip
    parser.add_argument("--probabilities", action="store_true", help="add the probability of each class")
    parser.add_argument("--batch-size", type=_number, metavar="N", help="samples at once (default: as in the run)")
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    options = parser.parse_args(arguments)
    try:
        _predict(options)
    except LandbridgeError as error:
        sys.exit(f"landbridge-predict: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. Python would complain when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _predict(options: argparse.Namespace) -> None:
    # What can be known without torch is known before it is imported, which takes seconds.
    run, inputs = options.run.expanduser(), [path.expanduser() for path in options.inputs]
    selected_checkpoint(run, finished_record(run))
    for path in inputs:
        if not path.exists():
            raise LandbridgeError(f"there is no file or folder {path}")

    from landbridge.predict.predictions import require_writable
    from landbridge.predict.predictor import load

    if options.out:
        require_writable(options.out.expanduser())
    predictor = load(run, options.device)
    predictions = predictor.predict(inputs, batch_size=options.batch_size, features=False, columns=options.columns)
    if options.out:
        predictions.write(options.out, options.probabilities)
        print(f"{len(predictions)} predictions in {options.out}", file=sys.stderr)
    else:
        predictions.print(options.probabilities)


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    main()
