import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from landbridge.record import Record
from landbridge.sweeps.job import Job, varying


def job(folder: Path = Path("/sweep/a1"), hydra: tuple[str, ...] = (), config_name: str = "train") -> Job:
    sources = [{"provider": "main", "path": "/conf"}, {"provider": "command-line", "path": "/my conf"}]
    node = {
        "runtime": {"config_sources": sources},
        "job": {"config_name": config_name},
        "overrides": {"hydra": list(hydra)},
    }
    return Job(0, ["++seed=1", "strategy=dann"], OmegaConf.create({"hydra": node}), folder=folder)


def test_the_command_is_a_single_run_with_the_same_configuration():
    assert job(config_name="mine").command() == [
        *("--config-dir", "/my conf", "--config-name", "mine", "++seed=1", "strategy=dann"),
        *("hydra.mode=RUN", "hydra.run.dir='/sweep/a1'"),
    ]


def test_settings_of_the_sweep_are_not_passed_to_the_job():
    own = (
        *("hydra.mode=MULTIRUN", "hydra.sweep.dir=x", "hydra/launcher=landbridge", "hydra.launcher.n_jobs=2"),
        *("++hydra.sweeper.params={}", "hydra/sweeper=landbridge", "hydra.run.dir=elsewhere"),
    )
    passed_on = ("hydra.searchpath=[file://mine]", "hydra/job_logging=default", "+hydra.verbose=true")
    command = job(hydra=(*own, *passed_on)).command()
    assert command[command.index("strategy=dann") + 1 :] == [*passed_on, "hydra.mode=RUN", "hydra.run.dir='/sweep/a1'"]


@pytest.mark.parametrize("name", ["a b", "a'b", "seed=1,lr=2", "{x}", "a\\b", '"', "ü"])
def test_any_folder_name_reaches_the_job(name):
    argument = job(Path("/sweep", name)).command()[-1]
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert override.value() == f"/sweep/{name}"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("running", None, "killed"),
        ("done", None, "done"),
        ("failed", "interrupted", "killed"),
        ("failed", "interrupted: a worker process that reads samples was killed by the signal Killed", "killed"),
        ("failed", "LandbridgeError: the loss is not finite", "failed"),
    ],
)
def test_the_state_is_read_from_the_record(status, reason, expected, tmp_path):
    assert job(tmp_path).state() == "new"
    record = Record(status, reason, fingerprint="abc", data={"target": {}}, selection={"rule": "last"})
    record.results = {"target": {"accuracy": 0.5}}
    record.write(tmp_path)
    assert job(tmp_path).state() == expected


def test_the_reason_of_any_failure_is_one_line(tmp_path):
    failed = job(tmp_path)
    failed.code = 1
    assert failed.reason() == "ended with code 1"
    failed.log.write_text("so far so good\nBang\n\n")
    assert failed.reason() == "Bang"
    Record(status="failed", reason="LandbridgeError: the loss is not finite").write(tmp_path)
    assert failed.reason() == "the loss is not finite"
    failed.code = -9
    assert failed.reason().startswith("killed by signal 9")
    failed.code = None
    (tmp_path / "record.json").write_text(json.dumps({"schema": 7}))
    assert "schema 7" in failed.reason()


def test_jobs_are_named_by_the_overrides_that_differ():
    jobs = [Job(0, ["++seed=1", "strategy=dann"]), Job(1, ["++seed=2", "strategy=dann"])]
    assert varying(jobs) == {0: "seed=1", 1: "seed=2"}
    assert varying(jobs[:1]) == {0: "seed=1 strategy=dann"}
