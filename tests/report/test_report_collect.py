"""Collecting records: used, damaged, unfinished and duplicate ones."""

import json
import os
import subprocess
import sys

import pytest
from made_records import made, write

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD
from landbridge.report.__main__ import main
from landbridge.report.collect import collect


def test_damaged_records_are_skipped_and_named_in_one_line_each(tmp_path, capsys):
    write(tmp_path, [made(seed=seed) for seed in range(4)])
    whole = (tmp_path / "0" / RECORD).read_text()
    (tmp_path / "1" / RECORD).write_text(whole[: len(whole) // 2])
    (tmp_path / "2" / RECORD).write_text(json.dumps({**json.loads(whole), "config": {"seed": 2}}))
    found = collect([tmp_path])
    assert [run.seed for run in found.runs] == [0, 3]
    assert len(found.damaged) == 2
    assert found.partial
    main([str(tmp_path)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "1") in lines[0]
    assert str(tmp_path / "2") in lines[1]
    assert str(tmp_path / "1") in (tmp_path / "report.html").read_text()


def test_duplicate_runs_count_once_and_finished_runs_are_preferred_to_failed_ones(tmp_path):
    write(tmp_path, [made(accuracy=None), made(), made(), made(accuracy=None), made(seed=1)])
    found = collect([tmp_path, tmp_path / "1"])
    assert [(run.seed, run.done) for run in found.runs] == [(0, True), (1, True)]
    assert not found.unfinished
    assert len(found.duplicates) == 3


def test_failed_and_running_runs_are_counted_and_listed(tmp_path):
    running = made("mcc", accuracy=None)
    running.status, running.reason = "running", None
    write(tmp_path, [made(), made(seed=1, accuracy=None), running])
    main([str(tmp_path)])
    page = (tmp_path / "report.md").read_text()
    assert "1 finished, 2 failed or running" in page
    assert "PARTIAL" in page
    assert "LandbridgeError: training diverged" in page


@pytest.mark.parametrize("make", [True, False])
def test_a_missing_or_empty_folder_is_refused_in_one_line(make, tmp_path, capsys):
    if make:
        (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "empty")])
    assert str(tmp_path / "empty") in str(stop.value)
    assert "\n" not in str(stop.value)
    assert stop.value.code != 0


def test_a_report_imports_no_torch(tmp_path):
    write(tmp_path, [made("source_only"), made()], outputs=True)
    code = f"import sys; from landbridge.report.__main__ import main; main([{str(tmp_path)!r}]); "
    code += "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_domains_with_equal_names_and_different_content_get_different_names(tmp_path):
    records = [made(seed=seed, source="rendered") for seed in (0, 1)]
    for record, strength in zip(records, (0.5, 2.0), strict=True):
        record.config["source"]["strength"] = strength
        record.data["source"]["fingerprint"] = f"content {strength}"
    found = collect([write(tmp_path, records)])
    assert [str(run.pair.source) for run in found.runs] == ["rendered (strength=0.5)", "rendered (strength=2)"]


def test_a_method_name_contains_varied_settings_but_no_seed_that_equals_the_seed_of_the_run(tmp_path):
    records = [made(seed=seed, freeze__depth=depth, strategy__order_seed=seed) for seed in (0, 1) for depth in (0, 2)]
    found = collect([write(tmp_path, records)])
    assert {str(run.method) for run in found.runs} == {"dann freeze.depth=0", "dann freeze.depth=2"}


def test_without_readable_records_the_error_names_the_first_damaged_one(tmp_path):
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(LandbridgeError, match="cannot be read"):
        collect([tmp_path])


def test_of_two_runs_with_the_same_settings_the_later_one_counts_and_the_other_is_named(tmp_path):
    one, other = made(), made()
    other.fingerprint = "that of other defaults"
    (first,), (second,) = (
        list(write(tmp_path / name, [each]).rglob(RECORD)) for name, each in (("a", one), ("b", other))
    )
    os.utime(first, (1, 1))
    found = collect([tmp_path])
    assert [run.folder for run in found.runs] == [second.parent]
    assert len(found.left_out) == 1
    assert str(first) in found.left_out[0]
