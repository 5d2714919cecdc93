from pathlib import Path

import pytest

from landbridge.record import Record
from landbridge.sweeps.job import Job
from landbridge.sweeps.view import View


@pytest.fixture
def ended(tmp_path):
    """A function that makes a job that has ended, with a given status."""

    def make(number: int, status: str) -> Job:
        folder = Path(tmp_path, str(number))
        folder.mkdir()
        results = {"target": {"accuracy": 0.5}}
        data, selection = {"target": {"name": "dusk"}}, {"rule": "last"}
        Record(status, "it broke", fingerprint="abc", data=data, selection=selection, results=results).write(folder)
        return Job(number, [f"++seed={number}"], folder=folder, code=0, seconds=4.0)

    return make


def show(ended) -> None:
    with View(jobs=4, at_once=2) as view:
        view.starts()
        view.starts()
        view.ends("seed=0", ended(0, "done"))
        view.ends("seed=[1]", ended(1, "failed"))
        view.starts()


def test_a_pipe_receives_plain_lines(ended, capsys):
    show(ended)
    assert capsys.readouterr().err.splitlines() == [
        "1/4 done seed=0  target accuracy 0.500  (4.0 s)",
        "2/4 failed seed=[1]  it broke  (4.0 s)",
    ]


def test_a_terminal_shows_counts_and_the_remaining_time(ended, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    show(ended)
    assert "1 running, 1 failed, about 0:00:04 left" in capsys.readouterr().err
