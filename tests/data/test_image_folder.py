import logging
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from torchvision.datasets.folder import IMG_EXTENSIONS

from landbridge.data.formats import ImageFormat
from landbridge.data.sources.image_folder import image_folder
from landbridge.data.sources.image_listing import EXTENSIONS
from landbridge.errors import LandbridgeError

DATA = Path(os.environ.get("LANDBRIDGE_DATA", "no data"))
SPEC = ImageFormat(3, (8, 8), (0.0,) * 3, (1.0,) * 3)


def write(path, seed):
    """Write a random image; each seed gives another image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)).save(path)


def fill(root, classes=("ant", "bee"), n=10, seed=0, suffix="png"):
    for label, name in enumerate(classes):
        for k in range(n):
            write(root / name / f"{k:03}.{suffix}", [seed, label, k])
    return root


def names(domain, split):
    """Return the class folder and the name of each file of a split."""
    return ["/".join(Path(path).parts[-2:]) for path in domain.splits[split].inputs.paths]


def sizes(domain):
    return [len(part.inputs) for part in domain.splits.values()]


def everything(domain):
    return [name for split in domain.splits for name in names(domain, split)]


def test_a_folder_per_class_becomes_a_stratified_domain(tmp_path):
    domain = image_folder(str(fill(tmp_path / "zoo", ("bee", "ant", "Fly"), 20)), stratify=True)
    assert domain.name == "zoo"
    assert domain.classes == ("Fly", "ant", "bee")
    assert domain.shape == (3, 0, 0)
    assert domain.modality == "image"
    assert sizes(domain) == [42, 6, 12]
    assert len(set(everything(domain))) == 60
    for split, part in domain.splits.items():
        labels = part.labels.open("test")
        assert labels.bincount().tolist() == [len(labels) // 3] * 3
        assert [name.split("/")[0] for name in names(domain, split)] == [domain.classes[k] for k in labels]
    first = domain.splits["test"].inputs
    assert first.read(torch.tensor([0, 1]), SPEC)[0].shape == (2, 3, 8, 8)
    assert len(pickle.dumps(domain)) < 20_000


def test_splits_do_not_depend_on_the_place_of_the_folder(tmp_path):
    one = image_folder(str(fill(tmp_path / "one")))
    shutil.copytree(tmp_path / "one", tmp_path / "far" / "away")
    two = image_folder(str(tmp_path / "far" / "away"))
    assert one.fingerprint == two.fingerprint
    assert [names(one, split) for split in one.splits] == [names(two, split) for split in two.splits]
    other = image_folder(str(tmp_path / "one"), split_seed=1)
    assert other.fingerprint != one.fingerprint
    assert sizes(other) == sizes(one)


def test_the_fingerprint_changes_with_a_file_a_label_and_a_class_name(tmp_path):
    root = fill(tmp_path / "zoo")
    seen = {image_folder(str(root)).fingerprint}
    write(root / "ant" / "003.png", 99)
    seen.add(image_folder(str(root)).fingerprint)
    (root / "ant" / "003.png").rename(root / "bee" / "003b.png")
    seen.add(image_folder(str(root)).fingerprint)
    (root / "bee").rename(root / "wasp")
    seen.add(image_folder(str(root)).fingerprint)
    assert len(seen) == 4


@pytest.mark.parametrize(
    "called",
    [
        ("train", "val", "test"),
        ("Train", "Valid", "TEST"),
        ("TRAIN", "validation", "Test"),
        ("training", "dev", "Testing"),
    ],
)
def test_given_splits_are_kept(tmp_path, called):
    for seed, (split, n) in enumerate(zip(called, (12, 4, 5), strict=True)):
        fill(tmp_path / "zoo" / split, n=n, seed=seed)
    domain = image_folder(str(tmp_path / "zoo"))
    assert sizes(domain) == [24, 8, 10]
    for split, folder in zip(domain.splits, called, strict=True):
        assert {Path(path).parts[-3] for path in domain.splits[split].inputs.paths} == {folder}


@pytest.mark.parametrize(
    ("given_splits", "expected"),
    [
        ({"train": 20}, [28, 4, 8]),
        ({"train": 20, "val": 5}, [32, 10, 8]),
        ({"train": 20, "test": 5}, [36, 4, 10]),
    ],
)
def test_missing_splits_are_taken_from_train(tmp_path, given_splits, expected):
    for seed, (split, n) in enumerate(given_splits.items()):
        fill(tmp_path / "zoo" / split, n=n, seed=seed)
    domain = image_folder(str(tmp_path / "zoo"), stratify=True)
    assert sizes(domain) == expected
    for split, part in domain.splits.items():
        folder = split if split in given_splits else "train"
        assert {Path(path).parts[-3] for path in part.inputs.paths} == {folder}
        assert part.labels.open("test").bincount().tolist() == [len(part.labels) // 2] * 2
    assert len({path for part in domain.splits.values() for path in part.inputs.paths}) == sum(expected)


def test_shares_can_be_set(tmp_path):
    domain = image_folder(str(fill(tmp_path, n=20)), name="own", val=0.25, test=0.5)
    assert domain.name == "own"
    assert sizes(domain) == [10, 10, 20]


def test_copies_are_never_divided(tmp_path):
    root = fill(tmp_path, n=20)
    for k in range(0, 20, 2):
        shutil.copy(root / "ant" / f"{k:03}.png", root / "ant" / f"{k + 1:03}.png")
    # A copy under another class has a wrong label, but it must still stay in the same split.
    shutil.copy(root / "ant" / "000.png", root / "bee" / "000.png")
    for seed in range(5):
        domain = image_folder(str(root), split_seed=seed)
        hashes = [set(part.inputs.hashes()) for part in domain.splits.values()]
        assert sum(map(len, hashes)) == len(set.union(*hashes)) == 29
        assert sum(sizes(domain)) == 40


def test_copies_in_two_given_splits_stay_in_the_test_split(tmp_path, caplog):
    fill(tmp_path / "train", n=20)
    fill(tmp_path / "test", n=5, seed=1)
    shutil.copy(tmp_path / "test" / "ant" / "002.png", tmp_path / "train" / "ant" / "007.png")
    with caplog.at_level(logging.WARNING):
        domain = image_folder(str(tmp_path))
    assert len(domain.splits["test"].inputs) == 10
    assert "ant/007.png" not in names(domain, "train") + names(domain, "val")
    assert "1 samples are left out of train" in caplog.text


def test_settings_of_reading_change_pixels_and_fingerprints_but_not_splits(tmp_path):
    root = str(fill(tmp_path / "zoo"))
    how = [{}, {"resize": "squash"}, {"resize": "pad"}, {"invert": True}, {"resize": "pad", "invert": True}]
    domains = [image_folder(root, **settings) for settings in how]
    assert len({domain.fingerprint for domain in domains}) == len(how)
    assert len({str(domain.splits["train"].inputs.hashes()) for domain in domains}) == 1
    read = [domain.splits["test"].inputs.select(torch.arange(2)).read(torch.tensor([1]), SPEC)[0] for domain in domains]
    assert (read[3].int() + read[0].int() - 255).abs().max() <= 2  # both passes of the filter round
    assert len({each.numpy().tobytes() for each in read}) == len(how)
    assert image_folder(root, hash_memo=None).fingerprint == domains[0].fingerprint


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A folder with 6 images of each of 12 patients, in two classes, and a table of the patients."""
    root = tmp_path_factory.mktemp("clinic")
    lines = ["path,group"]
    for patient in range(12):
        for k in range(6):
            path = f"{'ill' if patient % 2 else 'well'}/p{patient}_{k}.png"
            write(root / path, [patient, k])
            lines.append(f"{path},{patient}")
    (root / "patients.csv").write_text("\n".join(lines))
    return root


@given(seed=st.integers(0, 1000), setting=st.sampled_from([r"(p\d+)_", r"p(\d+)", "patients.csv"]))
@settings(deadline=None, max_examples=20)
def test_groups_are_never_divided(patients, seed, setting):
    domain = image_folder(str(patients), groups=setting, split_seed=seed)
    sides = [{name.split("/")[1].split("_")[0] for name in names(domain, split)} for split in domain.splits]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 12
    assert sum(sizes(domain)) == 72


def test_a_pattern_and_a_table_give_the_same_groups(patients, tmp_path):
    by_pattern = image_folder(str(patients), groups=r"p(\d+)")
    assert image_folder(str(patients), groups="patients.csv").fingerprint == by_pattern.fingerprint
    shutil.copy(patients / "patients.csv", tmp_path / "elsewhere.csv")
    assert image_folder(str(patients), groups=str(tmp_path / "elsewhere.csv")).fingerprint == by_pattern.fingerprint
    assert image_folder(str(patients)).fingerprint != by_pattern.fingerprint


def test_patterns_are_searched_in_paths_with_folders_below_a_class(tmp_path):
    for label in ("ant", "bee"):
        for nest in range(4):
            for k in range(3):
                write(tmp_path / label / f"nest{nest}" / f"{k}.png", [len(label) * ord(label[0]), nest, k])
    domain = image_folder(str(tmp_path), groups=r"([^/]+/nest\d)/")
    sides = [{Path(path).parts[-3:-1] for path in part.inputs.paths} for part in domain.splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 8


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (r"p(\d+", "not a regular expression"),
        (r"p\d+", "has 0 groups in parentheses, not one"),
        (r"(p)(\d+)", "has 2 groups in parentheses, not one"),
        (r"p(1\d)_", r"gives no group to 60 images, such as ill/p1_0\.png"),
        (r"p(x)?\d+_", "gives no group to 72 images"),
        ("gone.csv", r"gone\.csv is not a CSV file with the columns path and group"),
        ("columns.csv", r"columns\.csv is not a CSV file with the columns path and group"),
        ("few.csv", r"few\.csv gives no group to 71 images"),
    ],
)
def test_invalid_settings_of_groups_are_refused(patients, tmp_path, setting, message):
    shutil.copytree(patients, tmp_path / "clinic")
    (tmp_path / "clinic" / "columns.csv").write_text("file,patient\nill/p1_0.png,1\n")
    (tmp_path / "clinic" / "few.csv").write_text("path,group\nill/p1_0.png,1\n")
    with pytest.raises(LandbridgeError, match=message):
        image_folder(str(tmp_path / "clinic"), groups=setting)


def test_hidden_files_and_other_files_are_ignored_and_counted(tmp_path, caplog):
    root = fill(tmp_path / "zoo")
    with caplog.at_level(logging.INFO):
        expected = image_folder(str(root), stratify=True).fingerprint
    assert caplog.messages == ["domain zoo: 20 images (20 .png)"]
    caplog.clear()
    fill(root / "__MACOSX")
    write(root / "@eaDir" / "ant" / "000.png", 4)
    (root / "ant" / "Thumbs.db").touch()
    write(root / "ant" / "._000.png", 1)
    write(root / ".git" / "a.png", 2)
    write(root / "bee" / ".thumbnails" / "000.png", 3)
    (root / ".DS_Store").touch()
    (root / "ant" / ".DS_Store").touch()
    for name in ("notes.txt", "jpg", "jpg.", "1.jpg~"):
        (root / "ant" / name).write_text("no picture")
    (root / "readme.md").write_text("no class")
    write(root / "lost.png", 5)
    with caplog.at_level(logging.INFO):
        assert image_folder(str(root), stratify=True).fingerprint == expected
    found, left_out = caplog.messages
    assert found == "domain zoo: 20 images (20 .png); 4 hidden files or folders are ignored"
    assert left_out.startswith("domain zoo: 5 files are left out: ")
    for kind in ("1 .txt (ant/notes.txt)", "1 without an extension (ant/jpg)", "1 .png in no class folder (lost.png)"):
        assert kind in left_out


def test_extensions_include_those_of_torchvision_and_pillow_reads_them(tmp_path):
    assert set(IMG_EXTENSIONS) < set(EXTENSIONS)
    known = Image.registered_extensions()
    assert set(known) >= set(EXTENSIONS)
    root = tmp_path / "zoo"
    lacking = {*([".webp"] * (not features.check("webp"))), *([".avif"] * (not features.check("avif")))}
    jpeg_2000 = () if features.check("jpg_2000") else (".j2k", ".jp2")
    written = sorted({*EXTENSIONS} - {*lacking, *jpeg_2000})
    for k, suffix in enumerate([*written, *(suffix.upper() for suffix in written)]):
        for label in ("ant", "bee"):
            (root / label).mkdir(parents=True, exist_ok=True)
            image = Image.new({".pgm": "L", ".pbm": "1"}.get(suffix.lower(), "RGB"), (9, 9), k * 5 + len(label))
            image.putpixel((k % 9, (k + ord(label[0])) % 9), 200)
            image.save(root / label / f"{k}{suffix}", format=known[suffix.lower()])
    domain = image_folder(str(root))
    assert sum(sizes(domain)) == 4 * len(written)
    for part in domain.splits.values():
        assert part.inputs.read(torch.arange(len(part.inputs)), SPEC)[0].shape[1:] == (3, 8, 8)


def test_names_may_contain_any_characters(tmp_path):
    root = fill(tmp_path / "my photos (old)", ("fire ant [red]", "Bäume, *grüne*"))
    write(root / "fire ant [red]" / f"{'long ' * 30}.png", 77)
    domain = image_folder(str(root))
    assert domain.classes == ("Bäume, *grüne*", "fire ant [red]")
    assert sum(sizes(domain)) == 21


def test_links_to_folders_are_followed(tmp_path):
    fill(tmp_path / "store", ("ant", "bee", "more"))
    root = tmp_path / "zoo"
    root.mkdir()
    for name in ("ant", "bee"):
        (root / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "bee" / "linked").symlink_to(tmp_path / "store" / "more")
    assert sum(sizes(image_folder(str(root)))) == 30


def test_links_that_lead_back_or_to_another_class_are_not_followed(tmp_path, caplog):
    root = fill(tmp_path / "zoo")
    expected = image_folder(str(root), stratify=True).fingerprint
    more = fill(tmp_path / "more", ("deep",), n=3, seed=7)
    (more / "deep" / "up").symlink_to(more)
    for name, aim in (("again", root), ("self", root / "ant"), ("other", root / "bee")):
        (root / "ant" / name).symlink_to(aim)
    assert image_folder(str(root), stratify=True).fingerprint == expected
    for label in ("ant", "bee"):
        (root / label / "more").symlink_to(more)
    caplog.clear()
    domain = image_folder(str(root), stratify=True)
    assert sum(sizes(domain)) == 23
    assert sum(name.startswith("deep/") for name in everything(domain)) == 3
    warned = caplog.messages[-1]
    assert "links to folders that are already read are not followed" in warned
    for place in ("ant/again", "ant/self", "ant/other", "ant/more/deep/up", "bee/more"):
        assert place in warned


def test_two_class_folders_that_are_one_are_refused(tmp_path):
    fill(tmp_path / "zoo" / "train")
    (tmp_path / "zoo" / "val").symlink_to("train")
    with pytest.raises(LandbridgeError, match=r"zoo/val/ant and .*zoo/train/ant are the same folder"):
        image_folder(str(tmp_path / "zoo"))


def test_a_class_may_be_absent_from_given_splits_and_the_log_names_it(tmp_path, caplog):
    root = tmp_path / "zoo"
    fill(root / "train", ("ant", "bee", "fly"))
    fill(root / "val", ("ant", "bee"), n=3, seed=1)
    fill(root / "test", ("ant", "fly"), n=4, seed=2)
    (root / "test" / "bee").mkdir()
    domain = image_folder(str(root))
    assert domain.classes == ("ant", "bee", "fly")
    assert [part.labels.open("test").bincount(minlength=3).tolist() for part in domain.splits.values()] == [
        [10, 10, 10],
        [3, 3, 0],
        [4, 0, 4],
    ]
    assert "domain zoo: the given val split has no sample of 1 of 3 classes (fly)" in caplog.text
    assert "domain zoo: the given test split has no sample of 1 of 3 classes (bee)" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_that_are_not_utf_8_become_text(tmp_path):
    latin = tmp_path / os.fsdecode(b"z\xfcri")
    fill(latin, (os.fsdecode(b"caf\xe9"), "bee"))
    write(latin / "bee" / os.fsdecode(b"\xff.png"), 5)
    domain = image_folder(str(latin), groups=r"/(.+)\.png")
    assert domain.name == r"z\xfcri"
    assert domain.classes == ("bee", r"caf\xe9")
    assert len(domain.fingerprint) == 32
    for part in domain.splits.values():
        assert len(pickle.loads(pickle.dumps(part.inputs)).read(torch.arange(len(part.inputs)), SPEC)[0])
    with pytest.raises(LandbridgeError, match=r"gone\\xe9"):
        image_folder(os.fsdecode(b"/gone\xe9"))


def test_names_in_two_forms_of_unicode_are_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    fill(tmp_path / "zoo" / "train", (composed, "bee"))
    fill(tmp_path / "zoo" / "val", (decomposed, "bee"), n=3, seed=1)
    assert image_folder(str(tmp_path / "zoo")).classes == ("bee", composed)
    fill(tmp_path / "two", (composed, decomposed))
    with pytest.raises(LandbridgeError, match="two folders are called café"):
        image_folder(str(tmp_path / "two"))


def test_a_single_folder_called_train_may_be_a_class(tmp_path):
    domain = image_folder(str(fill(tmp_path, ("bus", "car", "train"))))
    assert domain.classes == ("bus", "car", "train")


def test_root_may_be_relative_or_below_the_home_folder(tmp_path, monkeypatch):
    expected = image_folder(str(fill(tmp_path / "zoo"))).fingerprint
    monkeypatch.chdir(tmp_path / "zoo")
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in (".", "../zoo", "~/zoo"):
        domain = image_folder(root)
        assert (domain.name, domain.fingerprint) == ("zoo", expected)
    monkeypatch.chdir(tmp_path)
    assert len(domain.splits["val"].inputs.read(torch.tensor([0]), SPEC)[0]) == 1


def test_a_missing_root_is_refused():
    with pytest.raises(LandbridgeError, match=r"root is not set.*target\.root=photos"):
        image_folder()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "there is no folder /.*zoo"),
        (["notes.txt"], "zoo: holds no class folders; "),
        (["zoo/ant/1.png"], r"zoo: holds 1 class folder \(ant\); "),
        (["train/notes.txt"], "zoo/train: holds no class folders"),
        (["val/ant/1.png", "val/bee/1.png"], "zoo: holds val, but no train folder; add it, or move"),
        (["Test/ant/1.png", "Test/bee/1.png"], "zoo: holds Test, but no train folder"),
        (
            ["train/ant/1.png", "train/bee/1.png", "holdout/ant/1.png", "holdout/bee/1.png"],
            r"holds splits \(train\) and other folders \(holdout\); keep one kind, or give each split one of the names",
        ),
        (["ant/1.png", "bee/1.txt"], "zoo/bee: this class holds no image"),
        (
            ["train/ant/1.png", "train/bee/.x.png", "test/ant/1.png", "test/bee/1.png"],
            "zoo/train/bee: this class holds no",
        ),
        (
            ["train/ant/1.png", "train/bee/1.png", "val/ant/1.png", "val/fly/1.png"],
            "zoo/val: the classes of val must be classes of train: fly are not among ant, bee",
        ),
        (
            ["train/ant/1.png", "val/ant/1.png", "more/ant/1.png"],
            r"holds splits \(train, val\) and other folders \(more\)",
        ),
        (["test/ant/1.png", "val/ant/1.png"], "zoo: holds test, val, but no train folder"),
        (["train/ant/1.png", "val/ant/1.png", "valid/ant/1.png"], "zoo: holds train, val, valid; valid are"),
        (["ant/1.png", "bee/1.png"], "zoo: class 'ant' has no sample for val and test: its 1 samples"),
    ],
)
def test_invalid_folders_are_refused(tmp_path, made, message):
    root = tmp_path / "zoo"
    for seed, path in enumerate(path.removeprefix("zoo/") for path in made):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write(root / path, seed) if path.endswith(".png") else (root / path).touch()
    with pytest.raises(LandbridgeError, match=message) as caught:
        image_folder(str(root), stratify=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.jpg", r"photo\.jpg is a file, not a folder; unpack it"),
        ("features.npz", r"is a file, not a folder; such a file is target=vectors target\.file=.*features\.npz"),
        ("people.csv", r"is a file, not a folder; such a file is target=table target\.file=.*people\.csv"),
    ],
)
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, name, message):
    (tmp_path / name).touch()
    with pytest.raises(LandbridgeError, match=message):
        image_folder(str(tmp_path / name))


def unpack(name, folder):
    with tarfile.open(DATA / f"{name}.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder / name


@pytest.mark.skipif(not (DATA / "hymenoptera.tar").exists(), reason="needs LANDBRIDGE_DATA with hymenoptera")
def test_the_real_ants_and_bees_are_read(tmp_path):
    domain = image_folder(str(unpack("hymenoptera", tmp_path)))
    assert domain.classes == ("ants", "bees")
    assert sum(sizes(domain)) == 397
    assert sizes(domain)[1] == 153
    inputs = domain.splits["test"].inputs
    batch = inputs.read(torch.arange(len(inputs)), ImageFormat(3, (64, 64), (0.0,) * 3, (1.0,) * 3, crop=0.875))[0]
    assert batch.float().std((1, 2, 3)).min() > 5


@pytest.mark.skipif(
    not (DATA / "office_caltech10_128.tar").exists(), reason="needs LANDBRIDGE_DATA with Office-Caltech"
)
def test_the_real_office_photographs_are_read(tmp_path):
    root = unpack("office_caltech10_128", tmp_path)
    totals = {"amazon": 958, "caltech10": 1123, "dslr": 157, "webcam": 295}
    domains = {name: image_folder(str(root / name)) for name in totals}
    assert {name: sum(sizes(domain)) for name, domain in domains.items()} == totals
    assert len({domain.classes for domain in domains.values()}) == 1
    hashes = [set(part.inputs.hashes()) for part in domains["amazon"].splits.values()]
    assert sum(map(len, hashes)) == len(set.union(*hashes)) < 958
