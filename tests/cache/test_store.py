"""The store of rows: a row is complete or missing, even if files are damaged or processes are killed."""

import multiprocessing
import os
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from landbridge.activation_cache.store import Store
from landbridge.data.digests import Digests

ROWS = 10
GENEROUS = 1e6
NAMES = Digests.numbered(1000)
TEN = NAMES[:ROWS]


def row_tensors(seed: int = 0) -> list[torch.Tensor]:
    """Return a row of vectors and one of images in channels-last layout for each name."""
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(len(NAMES), 3, generator=draw)
    return [vectors, torch.randn(len(NAMES), 2, 5, 5, generator=draw).to(memory_format=torch.channels_last)]


def numbers(names: Digests) -> torch.Tensor:
    return torch.tensor([int(name, 16) for name in names])


def maker(wanted: Digests = TEN, seed: int = 0, calls: list | None = None):
    """Return a function that makes the missing ones of some rows in batches of 4."""

    def make(missing):
        if calls is not None:
            calls.append(numbers(wanted.select(missing)).tolist())
        for part in missing.split(4):
            names = wanted.select(part)
            yield names, [tensor[numbers(names)] for tensor in row_tensors(seed)]

    return make


def same(found, wanted: Digests = TEN, seed: int = 0) -> bool:
    batch = found.activations(1).read(torch.arange(len(wanted))).tensors
    return all(torch.equal(a, b[numbers(wanted)]) for a, b in zip(batch, row_tensors(seed), strict=True))


def nothing(store, key="key", wanted=TEN) -> bool:
    return len(store.find(key, wanted).missing) == len(wanted)


def folder_of(store, key="key") -> Path:
    (folder,) = store.root.glob(f"{key}-*")
    return folder


def keys_in(root: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in root.iterdir() if path.is_dir()}


def never(missing):
    raise AssertionError("rows are made again")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", GENEROUS)


def test_rows_are_read_with_the_content_and_layout_that_was_written(store):
    assert nothing(store)
    assert same(store.fetch("key", TEN, maker()))
    found = store.fetch("key", TEN, never)
    assert same(found)
    (segment,) = found.segments
    assert [tensor.is_contiguous() for tensor in segment.tensors] == [True, False]
    assert segment.tensors[1].is_contiguous(memory_format=torch.channels_last)
    assert segment.bytes == ROWS * (3 + 50) * 4
    segment.tensors[0].zero_()  # changes a copy of the page and not the file
    assert same(store.find("key", TEN))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8, torch.float64])
def test_rows_of_any_type_are_read_back(store, dtype):
    rows = torch.arange(6).view(6, 1).to(dtype)
    found = store.fetch("key", NAMES[:6], lambda _: iter([(NAMES[:6], [rows])]))
    assert torch.equal(found.segments[0].tensors[0], rows)


def test_only_rows_that_are_missing_are_made_and_each_once(store):
    calls = []
    for number, wanted in enumerate((NAMES[100:400], NAMES[350:420], NAMES[100:420])):
        assert same(store.fetch("key", wanted, maker(wanted, calls=calls)), wanted)
        assert len(calls) == min(number + 1, 2)
    twice = Digests.concatenated([NAMES[418:422], NAMES[418:422]])
    assert same(store.fetch("key", twice, maker(twice, calls=calls)), twice)
    assert calls == [list(range(100, 400)), list(range(400, 420)), [420, 421]]
    assert nothing(store, "other", NAMES[100:400])


def test_rows_of_several_segments_are_read_in_any_order_and_layout(store):
    for last in (300, 400, 440):
        store.fetch("key", NAMES[:last], maker(NAMES[:last]))
    wanted = NAMES.select(torch.randperm(440, generator=torch.Generator().manual_seed(1)))
    found = store.find("key", wanted)
    assert len(found.segments) == 3
    assert same(found, wanted)
    where = torch.tensor([3, 5, 3, 430])
    for each in (where, where[:1]):
        batch = found.activations(1).read(each).tensors
        assert all(torch.equal(a, b[numbers(wanted)[each]]) for a, b in zip(batch, row_tensors(), strict=True))
        assert batch[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sizes", [[1] * 20, [64, *range(1, 12)], [5, 40, 3, 3, 90, 1]])
def test_the_number_of_segments_grows_with_the_logarithm_of_the_rows(store, sizes):
    total, copied = 0, 0
    for size in sizes:
        before = {path.name for path in store.root.glob("key-*")}
        total += size
        found = store.fetch("key", NAMES[:total], maker(NAMES[:total]))
        (new,) = [each for each in found.segments if each.folder.name not in before]
        copied += len(new.samples) - size
        held = sorted(len(each.samples) for each in found.segments)
        del found, new
        assert len(list(store.root.glob("key-*"))) == len(held)
        assert sum(held) == total
        assert all(larger >= 2 * smaller for smaller, larger in pairwise(held))
    assert same(store.find("key", NAMES[:total]), NAMES[:total])
    assert copied <= total * np.log(total) / np.log(1.5)


def test_a_segment_that_is_read_is_kept_until_it_is_merged_later(store):
    used = store.fetch("key", NAMES[:4], maker(NAMES[:4]))
    assert same(store.fetch("key", NAMES[:10], maker(NAMES[:10])), NAMES[:10])
    assert len(list(store.root.glob("key-*"))) == 2  # four rows are there twice
    assert same(used, NAMES[:4])
    assert len(store.find("key", NAMES[:10]).segments) == 1
    del used
    assert same(store.fetch("key", NAMES[:30], maker(NAMES[:30])), NAMES[:30])
    assert len(list(store.root.glob("key-*"))) == 1
    assert len(store.find("key", NAMES[:30]).segments[0].samples) == 30


def test_without_room_for_a_copy_segments_are_not_merged(tmp_path):
    store = Store(tmp_path, 25 * (53 * 4 + 16))
    for total in (10, 20):
        assert same(store.fetch("key", NAMES[:total], maker(NAMES[:total])), NAMES[:total])
    assert len(list(tmp_path.glob("key-*"))) == 2


def truncate(folder: Path) -> None:
    os.truncate(folder / "2.bin", 90)


def flip(folder: Path) -> None:
    raw = bytearray((folder / "1.bin").read_bytes())
    raw[7] ^= 16
    (folder / "1.bin").write_bytes(raw)


def flip_a_name(folder: Path) -> None:
    raw = bytearray((folder / "0.bin").read_bytes())
    raw[-1] ^= 16
    (folder / "0.bin").write_bytes(raw)


def flip_in_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("[3]", "[4]"))


DAMAGES = {
    "truncated": truncate,
    "flipped": flip,
    "flipped in a hash": flip_a_name,
    "flipped in the manifest": flip_in_manifest,
    "without a manifest": lambda folder: (folder / "manifest.json").unlink(),
    "with half a manifest": lambda folder: os.truncate(folder / "manifest.json", 20),
    "without a file": lambda folder: (folder / "0.bin").unlink(),
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_segment_is_detected_and_made_again(store, damage, caplog):
    store.fetch("key", TEN, maker())
    DAMAGES[damage](folder_of(store))
    assert nothing(store)
    assert "is damaged and not used" in caplog.text
    assert same(store.fetch("key", TEN, maker()))
    assert same(store.fetch("key", TEN, never))
    assert folder_of(store)


def test_only_the_rows_of_a_damaged_segment_are_made_again(store):
    for last in (300, 400):
        store.fetch("key", NAMES[:last], maker(NAMES[:last]))
    (small,) = [each for each in store.find("key", NAMES[:400]).segments if len(each.samples) == 100]
    flip(small.folder)
    del small
    calls = []
    assert same(store.fetch("key", NAMES[:400], maker(NAMES[:400], calls=calls)), NAMES[:400])
    assert calls == [list(range(300, 400))]


def test_a_failed_write_leaves_no_files_but_the_lock(store):
    def fails(missing):
        yield from maker()(missing[:8])
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        store.fetch("key", TEN, fails)
    with pytest.raises(ValueError, match="8 rows instead of 10"):
        store.fetch("key", TEN, lambda missing: maker()(missing[:8]))
    assert [path.name for path in store.root.iterdir()] == ["key.lock"]
    try:
        store.fetch("key", TEN, fails)
    except RuntimeError:
        assert same(store.fetch("key", TEN, maker())), "the lock is released while the error is handled"


def hang(root: Path, ready) -> None:
    def first_batch_and_no_more(missing):
        yield next(maker(seed=9)(missing))
        ready.set()
        time.sleep(60)

    Store(root, GENEROUS).fetch("key", TEN, first_batch_and_no_more)


def test_the_remains_of_a_killed_writer_are_not_used(store):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=hang, args=(store.root, ready))
    writer.start()
    assert ready.wait(30)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert (store.root / "key.part").exists()
    assert nothing(store)
    # The next process that makes any entry removes the remains.
    store.fetch("other", TEN, maker())
    assert not (store.root / "key.part").exists()
    assert same(store.fetch("key", TEN, maker()))


def write_slowly(root: Path, log: Path, barrier) -> None:
    def slow(missing):
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        for batch in maker()(missing):
            time.sleep(0.1)
            yield batch

    barrier.wait()
    assert same(Store(root, GENEROUS).fetch("key", TEN, slow))


def test_one_of_several_processes_makes_rows_and_the_others_wait(store, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    processes = [context.Process(target=write_slowly, args=(store.root, tmp_path / "log", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


SIZE = ROWS * ((3 + 50) * 4 + 16)


def test_the_least_recently_used_segment_is_removed_first(tmp_path):
    store = Store(tmp_path, 2.5 * SIZE)
    for seed, key in enumerate(("first", "second")):
        store.fetch(key, TEN, maker(seed=seed))
        time.sleep(0.01)
    assert same(store.find("first", TEN))  # now "first" is the most recently used one
    store.fetch("third", TEN, maker())
    assert keys_in(tmp_path) == {"first", "third"}


def test_segments_of_the_same_entry_are_removed_like_others(tmp_path):
    store = Store(tmp_path, 2.5 * SIZE)
    for first in (0, 10, 20):
        time.sleep(0.01)
        wanted = NAMES[first : first + ROWS]
        assert same(store.fetch("key", wanted, maker(wanted)), wanted)
    assert nothing(store)
    assert same(store.find("key", NAMES[10:30]), NAMES[10:30])
    # Rows that are wanted together are not removed for each other.
    with pytest.raises(OSError, match="there is room for 0"):
        store.fetch("key", NAMES[:30], maker(NAMES[:30]))
    assert same(store.find("key", NAMES[10:30]), NAMES[10:30])


def test_a_segment_in_use_is_not_removed_and_one_without_room_is_refused(tmp_path):
    store = Store(tmp_path, 1.5 * SIZE)
    used = store.fetch("used", TEN, maker())
    with pytest.raises(OSError, match="there is room for 0"):
        store.fetch("wanted", TEN, maker())
    assert same(used)
    del used
    assert same(store.fetch("wanted", TEN, maker()))
    assert keys_in(tmp_path) == {"wanted"}


def test_rows_larger_than_the_disk_are_refused_before_writing(tmp_path):
    huge = torch.zeros(1).expand(2, 10**14)
    with pytest.raises(OSError, match="are needed"):
        Store(tmp_path, 1e18).fetch("key", NAMES[:2], lambda _: iter([(NAMES[:2], [huge])]))
    assert not keys_in(tmp_path)


def test_entries_of_earlier_versions_are_removed_to_make_room(tmp_path):
    store = Store(tmp_path, 1.5 * SIZE)
    store.fetch("old", TEN, maker())
    folder_of(store, "old").rename(tmp_path / "old")
    assert same(store.fetch("new", TEN, maker()))
    assert keys_in(tmp_path) == {"new"}


def test_a_folder_that_another_process_removes_meanwhile_takes_no_room(tmp_path, monkeypatch):
    store = Store(tmp_path, GENEROUS)
    store.fetch("gone", TEN, maker())
    gone, listed = folder_of(store, "gone"), Path.glob

    def list_and_remove(folder, pattern):
        found = [*listed(folder, pattern)]
        if folder == gone:
            shutil.rmtree(gone, ignore_errors=True)
        return iter(found)

    monkeypatch.setattr(Path, "glob", list_and_remove)
    assert same(store.fetch("key", TEN, maker()))


def test_a_process_compares_the_content_with_its_checksums_once(store, monkeypatch):
    store.fetch("key", TEN, maker())
    store.find("key", TEN)
    monkeypatch.setattr("landbridge.activation_cache.segment._digests", lambda path: pytest.fail("compared again"))
    assert same(store.find("key", TEN))


def test_a_large_file_is_hashed_in_blocks(store, monkeypatch):
    monkeypatch.setattr("landbridge.activation_cache.segment.BLOCK", 64)
    store.fetch("key", TEN, maker())
    path = folder_of(store) / "2.bin"
    raw = np.memmap(path, mode="r+")
    raw[-1] ^= 1
    raw.flush()
    os.utime(path, (1, 1))
    assert nothing(store)


def test_a_full_disk_makes_room_as_the_limit_does(store, monkeypatch):
    """The limit allows both entries, and the disk has room for one."""
    store.fetch("old", TEN, maker())

    def usage(_):
        used = sum(file.stat().st_size for file in store.root.rglob("*.bin"))
        return type("Usage", (), {"free": 1.5 * SIZE - used})

    monkeypatch.setattr("landbridge.activation_cache.store.shutil.disk_usage", usage)
    assert same(store.fetch("new", TEN, maker()))
    assert nothing(store, "old")
