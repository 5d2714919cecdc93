"""A pack: several runs in one process, which share data and backbones and train together."""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from landbridge.cli.exit import INTERRUPTED, MISTAKES, TERMINATED, in_short
from landbridge.packs.console import Console
from landbridge.packs.epoch import Epoch, train_together
from landbridge.packs.member import Member
from landbridge.packs.shared import Shared
from landbridge.packs.turns import Turn, take_turns
from landbridge.record import Record
from landbridge.run.final_table import print_record
from landbridge.run.run import run


@dataclass(frozen=True)
class Work:
    """The run of one member.

    Attributes:
        config: its resolved configuration.
        folder: its folder.
        overrides: the overrides that the user typed, for the record.
        choices: the chosen option of each config group, for the record.
    """

    config: Mapping[str, Any]
    folder: Path
    overrides: Sequence[str] = ()
    choices: Mapping[str, str] = field(default_factory=dict)


def run_pack(works: Sequence[Work], console: Console | None = None) -> None:
    """Run all members. A member that fails writes why into its record and its console, and the others go on.

    SIGTERM and SIGINT stop the pack: every member writes into its record that it was interrupted, and resumes later.

    Args:
        works: the runs.
        console: where members print; None: to the console of the process.
    """
    shared = Shared()
    with _stoppable() as stopped:

        def single(number: int, turn: Turn) -> None:
            work = works[number]
            if console:
                console.belongs_to(work.folder)
            if stopped() is not None:
                return
            try:
                _run(work, Member(shared, turn, number, len(works)))
            except MISTAKES as error:
                print(in_short(error), file=sys.stderr)
            except SystemExit:
                pass
            except BaseException:
                traceback.print_exc()

        take_turns([partial(single, number) for number in range(len(works))], partial(_compute, stopped), stopped)


def _run(work: Work, member: Member) -> Record:
    cfg: Any = OmegaConf.create(dict(work.config))
    OmegaConf.set_struct(cfg, True)
    record = run(cfg, work.folder, work.overrides, work.choices, member)
    if record.results:
        print_record(record, work.folder)
    return record


def _compute(stopped: Callable[[], BaseException | None], epochs: Sequence[Epoch]) -> None:
    began = time.perf_counter()
    train_together(epochs, stopped)
    for epoch in epochs:
        epoch.seconds = (time.perf_counter() - began) / len(epochs)


@contextmanager
def _stoppable() -> Iterator[Callable[[], BaseException | None]]:
    """Within the block, remember SIGTERM and SIGINT; the value returns a new error that stands for them, or None."""
    asked: list[int] = []
    codes = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in codes}
    try:
        # Lightning reacts to a KeyboardInterrupt in a way that only the main thread of a process can.
        yield lambda: SystemExit(codes[signal.Signals(asked[0])]) if asked else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
