"""Hashes of files: kept in arrays, on the disk for later processes, and never those of an earlier content."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landbridge.data import content_hashes as hashing
from landbridge.data.digests import Digests
from landbridge.data.groups import join_groups
from landbridge.errors import LandbridgeError


def digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Twelve files whose times lie in the past, in two folders; every memo is written, and this process forgets."""
    monkeypatch.setattr(hashing, "MANY_FILES", 1)
    monkeypatch.setattr(hashing, "SETTLED_NS", -(10**12))
    paths = []
    for k in range(12):
        path = tmp_path / "zoo" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content {k // 3}".encode())
        paths.append(str(path))
    return paths


@pytest.fixture
def read(files, tmp_path, monkeypatch):
    """Hash files as a new process would; return the hashes and the files whose content was read."""
    original = hashing._hash

    def hashes(paths=files, memos=str(tmp_path / "memos")):
        opened = []
        monkeypatch.setattr(hashing, "_known", {})
        monkeypatch.setattr(hashing, "_hash", lambda path: opened.append(path) or original(path))
        return list(hashing.content_hashes(paths, memos)), sorted(opened)

    return hashes


def test_a_later_process_reads_only_what_has_changed(files, read, tmp_path):
    expected = [digest(Path(file).read_bytes()) for file in files]
    assert read() == (expected, sorted(files))
    assert read() == (expected, [])
    assert read(files[3:5]) == (expected[3:5], [])
    assert read(files[::-1]) == (expected[::-1], [])
    (memo,) = (tmp_path / "memos").iterdir()
    assert memo.name.endswith(".npz")
    time.sleep(0.02)  # longer than one tick of the clock of file times
    kept = Path(files[4]).stat()
    Path(files[4]).write_bytes(b"CONTENT 1")
    os.utime(files[4], ns=(kept.st_atime_ns, kept.st_mtime_ns))  # as tools that copy a file with its times do
    Path(files[7]).unlink()
    new = str(Path(files[0]).with_name("new.png"))
    Path(new).write_bytes(b"new")
    now = [*files[:7], *files[8:], new]
    expected = [digest(Path(file).read_bytes()) for file in now]
    assert read(now) == (expected, sorted([files[4], new]))
    assert read(now) == (expected, [])


def test_two_files_that_change_places_are_read_again(files, read):
    hashes, _ = read()
    time.sleep(0.02)
    spare = files[0] + ".spare"
    for source, goal in ((files[0], spare), (files[11], files[0]), (spare, files[11])):
        Path(source).rename(goal)
    again, opened = read()
    assert opened == sorted([files[0], files[11]])
    assert (again[0], again[11]) == (hashes[11], hashes[0])


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_memo_is_not_used(files, read, tmp_path, damage):
    expected, _ = read()
    (memo,) = (tmp_path / "memos").iterdir()
    memo.write_bytes(memo.read_bytes()[:-90] if damage is None else damage)
    assert read() == (expected, sorted(files))
    assert read() == (expected, [])


def test_a_folder_that_cannot_be_written_or_none_changes_no_hash(files, read, tmp_path):
    expected, _ = read()
    (tmp_path / "file").touch()
    for memos in (None, str(tmp_path / "file" / "memos")):
        for _ in range(2):
            assert read(files, memos) == (expected, sorted(files))


def test_a_file_that_was_just_written_is_not_kept(files, read, monkeypatch):
    monkeypatch.setattr(hashing, "SETTLED_NS", 10**12)
    assert [len(read()[1]) for _ in range(2)] == [12, 12]


def test_memos_that_nobody_reads_are_removed(read, tmp_path):
    (tmp_path / "memos").mkdir()
    for name, days in (("old", 91), ("young", 89)):
        (tmp_path / "memos" / name).touch()
        os.utime(tmp_path / "memos" / name, (time.time() - 86_400 * days,) * 2)
    read()
    assert [name for name in ("old", "young") if (tmp_path / "memos" / name).exists()] == ["young"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_refused_and_does_not_hang(tmp_path, kind):
    path = tmp_path / "a.png"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(LandbridgeError, match=r"a\.png: is not a file with content"):
        hashing.content_hashes([str(path)])


AT_ONCE = """
import sys
from landbridge.data import content_hashes as hashing
hashing.MANY_FILES, hashing.SETTLED_NS = 1, -10**12
for _ in range(60):
    hashing._known.clear()
    print(list(hashing.content_hashes(sys.argv[2:], sys.argv[1])))
    hashing._known.clear()
    hashing.content_hashes(sys.argv[2:-int(sys.argv[-1][-5])], sys.argv[1])
"""


@pytest.mark.slow
def test_several_processes_share_a_memo(files, tmp_path):
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "memos"), *files]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {line for process in running for line in process.communicate(timeout=60)[0].splitlines()}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert printed == {str([digest(Path(file).read_bytes()) for file in files])}
    assert [path.suffix for path in (tmp_path / "memos").iterdir()] == [".npz"]


# ---- arrays of hashes

contents = st.lists(st.integers(0, 5).map(lambda k: bytes([0, k] * 8)), max_size=12)


@given(contents)
def test_digests_are_a_row_of_texts(rows):
    digests, texts = Digests.joined(b"".join(rows)), [row.hex() for row in rows]
    assert digests == texts
    assert digests == Digests.of(texts)
    assert [digests[k] for k in range(len(digests))] == texts
    assert str(digests) == "".join(texts)
    assert digests[1:3] == texts[1:3]
    assert digests.select(torch.arange(len(rows)).flip(0)) == texts[::-1]
    assert join_groups(digests.items()) == join_groups(texts)


@given(contents, contents)
def test_digests_are_found_as_in_a_dictionary(own, wanted):
    row_of = {row: place for place, row in enumerate(own)}
    digests, others = Digests.joined(b"".join(own)), Digests.joined(b"".join(wanted))
    assert digests.locate(others).tolist() == [row_of.get(row, -1) for row in wanted]
    assert others.firsts().tolist() == [place for place, row in enumerate(wanted) if row not in wanted[:place]]


def test_a_digest_takes_16_bytes():
    assert Digests.joined(bytes(1600)).content.nbytes == 1600
    assert isinstance(Digests.joined(bytes(32)).items(), np.ndarray)
