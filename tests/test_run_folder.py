"""What a run and a report may replace: their own files, and nothing of the user."""

import json

import pytest

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record
from landbridge.report.__main__ import main as report
from landbridge.run.folder import FOLDERS, WRITTEN


@pytest.mark.parametrize("name", WRITTEN)
def test_a_run_replaces_no_file_of_the_user(name, tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(LandbridgeError, match=rf"{name}: landbridge did not write this file, and would replace it"):
        tiny()
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]
    assert (tmp_path / "run" / name).read_text() == "mine"


@pytest.mark.parametrize("setting", FOLDERS)
@pytest.mark.parametrize("value", ["../../../evil", "/tmp/evil", "a/../../evil"])
def test_a_logger_that_leads_out_of_the_folder_is_refused(setting, value, tiny, tmp_path):
    with pytest.raises(LandbridgeError, match=rf"logger\.{setting}={value} leads out of the folder of the run"):
        tiny("logger=tensorboard", f"logger.{setting}={value}")
    assert not (tmp_path / "run").exists()


def test_a_logger_below_the_folder_is_allowed(tiny, tmp_path):
    assert tiny("logger=csv", "logger.name=a/b/..", "trainer.max_epochs=1").status == "done"
    assert (tmp_path / "run" / "a" / "version_0" / "metrics.csv").exists()


@pytest.mark.parametrize("schema", [1, 2])
def test_a_record_without_results_is_no_finished_run(schema, tiny, tmp_path):
    (tmp_path / "run").mkdir()
    content = json.dumps({"schema": schema, "status": "done"})
    (tmp_path / "run" / RECORD).write_text(content)
    with pytest.raises(LandbridgeError, match=r"is damaged: status is done, but the record lacks fingerprint, data"):
        tiny()
    assert (tmp_path / "run" / RECORD).read_text() == content


@pytest.mark.slow
def test_a_report_replaces_its_own_files_and_none_of_the_user(tiny, tmp_path, capsys):
    record = tiny(*["logger=null", "strategy=source_only", "trainer.max_epochs=1"], folder="sweep/run")
    assert Record.read(tmp_path / "sweep" / "run") == record
    folder = tmp_path / "sweep"
    for _ in range(2):
        report([str(folder)])
    written = [path for path in folder.iterdir() if path.is_file()]
    assert {"report.html", "report.md", "report.csv", "runs.csv"} <= {path.name for path in written}
    for path in written:
        ours = path.read_text()
        path.write_text("a,b\nmine")
        others = {each: each.read_text() for each in written}
        with pytest.raises(SystemExit) as stopped:
            report([str(folder)])
        assert f"{path}: landbridge-report did not write this file" in str(stopped.value)
        assert {each: each.read_text() for each in written} == others
        path.write_text(ours)
