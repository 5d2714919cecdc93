"""The record counts the steps and the samples of training, those of the source model included."""

import json

import pytest

from landbridge.record import RECORD, Record, total_passes, total_steps
from test_run import stop_after

COUNTS = ("steps", "passes", "source_steps", "source_passes")


def counts(record: Record) -> list[int | None]:
    return [record.cost.get(name) for name in COUNTS]


def test_steps_and_passes_of_a_run_and_of_its_source_model(tiny, tmp_path):
    # Two steps of 16 samples an epoch.
    cache = ("start=source", f"start.cache={tmp_path / 'models'}", "trainer.max_epochs=2")
    alone = tiny("strategy=source_only", "trainer.max_epochs=2", folder="alone")
    shot = tiny("strategy=shot", *cache, folder="shot")
    again = tiny("strategy=shot", "seed=0", *cache, "selection=im", folder="again")
    assert counts(alone) == [4, 64, None, None]
    assert counts(shot) == counts(again) == [4, 64, 4, 64]
    assert (total_steps(alone), total_steps(shot), total_passes(shot)) == (4, 8, 128)
    assert counts(tiny("strategy=adabn", *cache, folder="adabn")) == [0, 0, 4, 64]
    # A model of another run that was continued itself: both its steps count.
    path = f"start.path={tmp_path / 'shot' / 'last.ckpt'}"
    third = tiny("strategy=source_only", "start=checkpoint", path, folder="third")
    assert counts(third) == [2, 32, 8, 128]


@pytest.mark.parametrize(("strategy", "passes"), [("dann", 64), ("fixmatch", 96), ("mcd", 256)])
def test_every_view_of_a_sample_counts(strategy, passes, tiny):
    record = tiny(f"strategy={strategy}")
    assert (record.cost["steps"], record.cost["passes"]) == (2, passes)


@pytest.mark.parametrize(("strategy", "passes"), [("dann", 16 + 32), ("adamatch", 2 * (16 + 32) + 2 * 16)])
def test_unlabelled_samples_have_batches_of_their_own(strategy, passes, tiny):
    record = tiny(f"strategy={strategy}", "data.unlabelled_batch_size=32")
    assert record.cost["passes"] == 2 * passes


def test_a_resumed_or_continued_run_counts_all_steps(tiny, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny("trainer.max_epochs=3", folder="run")
    assert counts(tiny("trainer.max_epochs=3", folder="run")) == [6, 96, None, None]
    longer = tiny("trainer.max_epochs=4", f"continues={tmp_path / 'run'}", folder="longer")
    assert counts(longer) == [8, 128, None, None]


def test_a_record_without_these_numbers_is_read(tiny, tmp_path):
    record = tiny()
    path = tmp_path / "run" / RECORD
    content = json.loads(path.read_text())
    content["cost"] = {name: value for name, value in content["cost"].items() if name not in COUNTS}
    path.write_text(json.dumps(content))
    older = Record.read(path)
    assert (total_steps(older), total_passes(older)) == (record.cost["steps"], None) == (2, None)
