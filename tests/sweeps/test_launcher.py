"""Sweeps in real processes: jobs that succeed, jobs that resume, and jobs that fail."""

import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

import hydra_plugins
from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.sweeps import pool
from landbridge.sweeps.helper_process import Helper
from landbridge.sweeps.sweep import Sweep
from test_run import wandb_records


def records(folder: Path = Path("sweep")) -> dict[str, Record]:
    """Return the records of a sweep, by the overrides of the job as typed."""
    found = [Record.read(path) for path in folder.glob("*/record.json")]
    return {" ".join(each for each in record.overrides if each != "experiment=tiny"): record for record in found}


def contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("sweep").glob("*/record.json")}


def test_finished_jobs_do_not_run_again_and_new_jobs_run(sweep, tmp_path):
    code, told = sweep("seed=1,2", "optimizer.lr=0.01")
    assert code == 0
    assert "2 to run" in told
    assert re.search(r"2/2 done seed=\d  target accuracy 0\.\d{3}", told)
    assert {name: record.status for name, record in records().items()} == {
        "seed=1 optimizer.lr=0.01": "done",
        "seed=2 optimizer.lr=0.01": "done",
    }
    for record in records().values():
        assert record.choices["strategy"] == "source_only"
    assert all("accuracy" in path.read_text() for path in tmp_path.glob("sweep/*/console.log"))

    first = contents()
    code, told = sweep("seed=1,2,3", "optimizer.lr=0.01")
    assert code == 0
    assert re.search(r"3 jobs in sweep\n +2 finished already\n +1 to run\n1/1 done", told)
    assert contents().items() >= first.items()
    assert len(contents()) == 3


def test_a_job_equals_the_single_run(sweep, tiny):
    sweep("seed=5", "strategy=dann")
    alone = tiny("seed=5", "strategy=dann")
    (job,) = records().values()
    assert job.fingerprint == alone.fingerprint
    assert job.results == alone.results
    assert [epoch["losses"] for epoch in job.epochs] == [epoch["losses"] for epoch in alone.epochs]


def test_jobs_with_the_same_result_run_once(sweep):
    code, told = sweep("name=one", "data.workers=0,1", "trainer.profiler=null,simple")
    assert code == 0
    assert "3 equal to another job, whose result they share" in told
    assert len(contents()) == 1


def test_data_in_different_places_give_different_jobs(sweep, tmp_path):
    _, told = sweep("target=image_folder", "target.root=a,b", "hydra.launcher.dry_run=true")
    assert told.count("to run") == 2
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_may_have_jobs_with_and_without_a_source(sweep):
    _, told = sweep("source=null,noon", "strategy=fine_tune", "target_labels=2", "hydra.launcher.dry_run=true")
    # The strategy reads no source, so both are the same job.
    assert re.findall(r"source=\w+|to run|the same as job 0", told) == [
        *("source=null", "to run", "source=noon", "the same as job 0")
    ]
    assert "~" not in told


def test_a_refused_sweep_leaves_nothing_behind(sweep, tmp_path):
    code, told = sweep("seed=abc,1")
    assert code == 1
    assert "'abc' is not an integer" in told
    assert not (tmp_path / "sweep").exists()


def test_groups_that_a_strategy_ignores_make_no_new_jobs(sweep):
    _, told = sweep(
        "strategy=bn_adapt,source_only", "selection=last,entropy", "start=source", "hydra.launcher.dry_run=true"
    )
    assert told.count("to run") == 3
    assert told.count("the same as job") == 1


def test_all_faults_are_reported_before_any_job_starts(sweep):
    code, told = sweep("selection=last,lost", "strategy=dann,dnan")
    assert code == 1
    assert "2 problems on the command line" in told
    code, told = sweep("strategy=source_only,dann", "optimizer.lr=0.1,-1", "data.bach_size=3")
    assert code == 1
    assert "4 of 4 jobs cannot run, so none was started" in told
    assert "Invalid learning rate: -1" in told
    assert "nearest: batch_size" in told
    assert told.count("nearest: batch_size") == 2  # each fault is listed once for all jobs that have it
    assert "Traceback" not in told
    assert not contents()


def test_a_strategy_that_needs_other_settings_is_a_fault(sweep):
    code, told = sweep("strategy=source_only,fine_tune")
    assert code == 1
    assert "strategy=fine_tune:" in told
    assert "set target_labels" in told
    assert not contents()


def test_a_dry_run_starts_no_job(sweep):
    sweep("seed=1")
    code, told = sweep("seed=1,2", "data.workers=0,1", "hydra.launcher.dry_run=true")
    assert code == 0
    states = re.findall(r"finished already|to run|the same as job \d", told)
    assert states == ["finished already", "the same as job 0", "to run", "the same as job 2"]
    assert len(contents()) == 1


def test_a_failing_job_does_not_stop_others_and_is_retried_on_request(sweep):
    code, told = sweep("selection=target_val,last", "seed=1")
    assert code == 1
    assert "reads target labels" in told
    assert re.search(r"sweep/\w+/console\.log", told)
    assert "Traceback" not in told
    assert sorted(record.status for record in records().values()) == ["done", "failed"]

    before = contents()
    code, told = sweep("selection=target_val,last", "seed=1")
    assert code == 1
    assert "1 failed before" in told
    assert "reads target labels" in told
    assert contents() == before

    code, told = sweep("selection=target_val,last", "seed=1", "hydra.launcher.retry_failed=true")
    assert code == 1
    assert "1/1 failed" in told
    assert [*Path("sweep").glob("*/console.before.log")]


def test_a_damaged_record_is_reported_in_one_line_and_kept(sweep):
    sweep("seed=1,2")
    (broken, _) = contents()
    broken.write_text("{")
    code, told = sweep("seed=1,2,3")
    assert code == 1
    assert "1/1 done seed=3" in told
    assert "delete the file to run the job again" in " ".join(told.replace("│", " ").split())
    assert "Traceback" not in told
    assert broken.read_text() == "{"


def test_a_job_with_a_damaged_checkpoint_starts_anew(sweep):
    sweep("seed=1,2", "trainer.max_epochs=2")
    reference = records()
    for path in Path("sweep").glob("*/record.json"):
        path.write_text(path.read_text().replace('"status": "done"', '"status": "running"'))
        path.with_name("last.ckpt").write_bytes(b"no checkpoint")
    code, told = sweep("seed=1,2", "trainer.max_epochs=2")
    assert code == 0
    assert "2 going on from a checkpoint" in told
    assert all("training starts from the beginning" in path.read_text() for path in Path("sweep").glob("*/console.log"))
    assert {name: record.results for name, record in records().items()} == {
        name: record.results for name, record in reference.items()
    }


def test_a_full_disk_is_reported_in_one_line_and_does_not_stop_other_jobs(sweep):
    code, told = sweep("optimizer._target_=dusk.FullDisk,torch.optim.Adam", "seed=1")
    assert code == 1
    assert "File too large" in told
    assert "Traceback" not in told
    assert [record.status for record in records().values()].count("done") == 1


def test_a_job_fails_if_a_file_has_the_name_of_its_folder(sweep):
    sweep("seed=1", "hydra.launcher.dry_run=true")
    _, told = sweep("seed=1,2", "hydra.launcher.dry_run=true")
    taken = re.findall(r"\b[0-9a-f]{12}\b", told)[0]
    Path("sweep").mkdir()
    Path("sweep", taken).write_text("in the way")
    code, told = sweep("seed=1,2")
    assert code == 1
    assert "cannot use the folder" in told
    assert "Traceback" not in told
    assert [record.status for record in records().values()] == ["done"]


def test_a_sweep_is_refused_if_a_file_has_the_name_of_its_folder(sweep):
    Path("sweep").write_text("in the way")
    code, told = sweep("seed=1,2")
    assert code == 1
    assert "cannot use the folder" in told
    assert len(told.splitlines()) < 5


def test_threads_and_gpus_reach_each_job(sweep, monkeypatch):
    """The optimizer of these jobs raises an error that contains the GPU and the number of threads."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    sweep(
        *("seed=1,2", "optimizer._target_=dusk.Place", "hydra.launcher.n_jobs=2"),
        *("hydra.launcher.gpus_per_job=1", "hydra.launcher.threads=3"),
    )
    told = [record.reason for record in records().values()]
    assert sorted(told) == [f"RuntimeError: GPU {gpu}, threads 3 3" for gpu in (4, 7)]


def test_more_gpus_than_are_visible_are_refused(sweep, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    code, told = sweep("seed=1,2", "hydra.launcher.n_jobs=2", "hydra.launcher.gpus_per_job=2")
    assert code == 1
    assert "need 4 GPUs, but 2 are visible" in told


def test_axes_of_an_experiment_file_are_written_as_on_the_command_line(sweep, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "axes.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n"
        "      strategy: glob([dan,dann*])\n      seed: range(2)\n      strategy.backbone_lr_scale: 0.5\n"
    )
    mine = ("hydra.searchpath=[file://mine]", "experiment=[tiny,axes]", "hydra.launcher.dry_run=true")
    base = ("--config-dir", str(Path(__file__).parents[1] / "conf"))
    _, told = sweep(*mine, base=base)
    assert re.findall(r"strategy=(\w+) seed=(\d)", told) == [(s, n) for s in ("dan", "dann") for n in "01"]
    _, told = sweep(*mine, "seed=5", base=base)
    assert told.count("to run") == 2


class AskTell(Sweeper):
    """A minimal adaptive sweeper. Its next job depends on the results so far and on a random number."""

    __module__ = "hydra_plugins.ask_tell"

    def setup(self, *, hydra_context, task_function, config):
        self.jobs = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.told = []

    def sweep(self, arguments):
        for number in range(2):
            lr = random.SystemRandom().uniform(0.01, 0.1) * (1 + sum(self.told))
            (result,) = self.jobs.launch([[*arguments, f"++optimizer.lr={lr}"]], initial_job_idx=number)
            self.told.append(result.return_value)
        return self.told


@pytest.mark.long
def test_ranks_train_the_same_values_under_an_adaptive_sweeper(sweep, helper_folder, monkeypatch):
    module = ModuleType(AskTell.__module__)  # Hydra loads sweepers only from `hydra_plugins`
    module.AskTell = AskTell
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(hydra_plugins, "ask_tell", module, raising=False)
    Plugins.instance().register(AskTell)
    ConfigStore.instance().store("ask_tell", {"_target_": "hydra_plugins.ask_tell.AskTell"}, group="hydra/sweeper")
    code, told = sweep(
        *("hydra/sweeper=ask_tell", "selection=source_val", "optimizer._target_=dusk.Witness"),
        *("trainer.devices=2", "trainer.strategy=ddp"),
    )
    assert code == 0, told
    one, other = ((helper_folder / f"weights-{rank}.txt").read_text().splitlines() for rank in (0, 1))
    assert len(set(one)) == 4  # two jobs of two steps
    assert one == other
    first, second = records().values()
    assert first.config["optimizer"]["lr"] != second.config["optimizer"]["lr"]
    assert {*first.config["trainer"]} >= {"devices", "strategy"}


def test_a_sweeper_receives_the_score_or_the_error_of_each_job(sweep, monkeypatch):
    seen = []
    launch = Sweep.launch
    monkeypatch.setattr(Sweep, "launch", lambda *given: seen.extend(launch(*given)) or seen)
    sweep("selection=source_val,target_val")
    good, bad = seen
    (record,) = (each for each in records().values() if each.status == "done")
    assert good.return_value == record.epochs[record.selection["epoch"]]["scores"]["source_val"]
    assert good.cfg.selection._target_ == "landbridge.selection.SourceVal"
    with pytest.raises(LandbridgeError, match="reads target labels"):
        _ = bad.return_value


@pytest.mark.slow
def test_parallel_jobs_are_separate_wandb_runs(sweep, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    code, told = sweep("seed=1,2,3", "name=apart", "logger=wandb", "hydra.launcher.n_jobs=3")
    assert code == 0, told
    runs = set()
    for path in Path("sweep").glob("*/wandb/offline-run-*/*.wandb"):
        summary = {}
        for message in wandb_records(path):
            if message.WhichOneof("record_type") == "run":
                assert message.run.run_group == "apart"
                runs.add(message.run.run_id)
            for item in message.summary.update:
                summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        assert summary["test/target/accuracy"] == Record.read(path.parents[2]).results["target"]["accuracy"]
    assert len(runs) == 3


@pytest.mark.long
def test_a_job_runs_as_a_new_process_with_the_same_result_where_forking_is_unsafe(sweep, monkeypatch):
    sweep("seed=1", "hydra.sweep.dir=forked")
    monkeypatch.setattr(pool, "Helper", Helper)
    code, told = sweep("seed=1", "hydra.sweep.dir=spawned", "hydra.launcher.warm=false")
    assert code == 0, told
    (forked,), (spawned,) = (records(Path(folder)).values() for folder in ("forked", "spawned"))
    assert spawned.results == forked.results
    assert spawned.fingerprint == forked.fingerprint
