import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import CenterCrop, Compose, InterpolationMode, Resize

from landbridge.data import content_hashes as hashing
from landbridge.data.formats import ImageFormat
from landbridge.data.image_files import FileInputs, Reading, decode
from landbridge.data.streams import OrderedBatches, Stream
from landbridge.errors import LandbridgeError


def image_format(channels=3, size=(24, 24), **rest):
    return ImageFormat(channels, size, (0.0,) * channels, (1.0,) * channels, **rest)


def pixels(height, width, channels=3, seed=0):
    """Make a smooth image with some noise; each corner is different."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [0.4 * x + 0.2 * y + 0.2 * (1 + np.sin(9 * x * (k + 1) + 5 * y)) for k in range(channels)]
    noisy = np.stack(waves, 2) * 235 + rng.uniform(0, 20, (height, width, channels))
    return noisy.astype(np.uint8).squeeze(2) if channels == 1 else noisy.astype(np.uint8)


def write(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return str(path)


def as_array(tensor):
    return tensor.permute(1, 2, 0).numpy().astype(int)


@pytest.mark.parametrize("crop", [1.0, 0.875, 0.95])
@pytest.mark.parametrize("shape", [(60, 47), (47, 60), (200, 90), (11, 17), (24, 24)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_decoding_is_resize_and_centre_crop(tmp_path, shape, crop, interpolation):
    file = write(tmp_path / "a.png", pixels(*shape))
    got = decode(file, image_format(crop=crop, interpolation=interpolation))
    reference = Compose([Resize(int(24 / crop), InterpolationMode(interpolation)), CenterCrop(24)])
    assert got.dtype == torch.uint8
    assert got.shape == (3, 24, 24)
    difference = as_array(got) - np.asarray(reference(Image.open(file))).astype(int)
    # One step rounds once; two steps round twice.
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("size", [(12, 30), (30, 12)])
def test_a_target_size_that_is_not_square_causes_no_distortion(tmp_path, size):
    square = np.zeros((60, 60, 3), np.uint8)
    square[20:40, 20:40] = 255
    got = as_array(decode(write(tmp_path / "a.png", square), image_format(size=size)))[..., 0]
    # 60 pixels become 30, so the white square of 20 x 20 becomes 10 x 10.
    rows, columns = (got > 127).any(1).sum(), (got > 127).any(0).sum()
    assert (rows, columns) == (10, 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_decoded_at_a_smaller_size_looks_the_same(tmp_path, channels):
    file = write(tmp_path / "a.jpg", pixels(600, 800), quality=95)
    full = Image.open(file).convert("L" if channels == 1 else "RGB")
    wanted = image_format(channels, (48, 48), crop=0.75)
    reference = Compose([Resize(64), CenterCrop(48)])(full)
    difference = as_array(decode(file, wanted)) - np.asarray(reference).reshape(48, 48, channels)
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() < 10


def test_a_large_jpeg_is_never_decoded_at_its_full_size(tmp_path):
    file = write(tmp_path / "a.jpg", pixels(800, 800))
    # Twice 24 pixels are needed, so 1/8 of 800 pixels is enough.
    with Image.open(file) as small:
        small.draft(None, (48, 48))
        assert small.size == (100, 100)
        expected = np.asarray(small.resize((24, 24), Image.Resampling.BILINEAR))
    full = np.asarray(Image.open(file).resize((24, 24), Image.Resampling.BILINEAR))
    got = as_array(decode(file, image_format()))
    assert np.array_equal(got, expected)
    assert not np.array_equal(got, full)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = pixels(48, 32)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = write(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert np.array_equal(as_array(decode(file, image_format(size=(48, 32)))), upright)


def test_grey_and_colour_images_get_the_channels_of_the_backbone(tmp_path):
    grey, colour = pixels(24, 24, 1), pixels(24, 24, 3)
    grey_file, colour_file = write(tmp_path / "g.png", grey), write(tmp_path / "c.png", colour)
    assert np.array_equal(as_array(decode(grey_file, image_format(1)))[..., 0], grey)
    assert np.array_equal(as_array(decode(grey_file, image_format(3))), np.stack([grey] * 3, 2))
    assert np.array_equal(as_array(decode(colour_file, image_format(3))), colour)
    luma = np.asarray(Image.fromarray(colour).convert("L"))
    assert np.array_equal(as_array(decode(colour_file, image_format(1)))[..., 0], luma)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_common_mode_is_read_without_a_warning(tmp_path, mode):
    image = Image.fromarray(pixels(24, 24)).convert(mode)
    options = {"transparency": bytes(range(200))} if mode == "P" else {}
    image.save(tmp_path / "a.tif") if mode == "CMYK" else image.save(tmp_path / "a.png", **options)
    got = as_array(decode(str(next(tmp_path.iterdir())), image_format()))
    assert np.abs(got - np.asarray(image.convert("RGB")).astype(int)).max() <= 1


@pytest.mark.parametrize(("suffix", "order"), [("png", "<"), ("tif", "<"), ("tif", ">")])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, suffix, order):
    deep = (np.arange(24 * 24).reshape(24, 24) * 113).astype(f"{order}u2")
    file = tmp_path / f"a.{suffix}"
    Image.frombytes("I;16B" if order == ">" else "I;16", (24, 24), deep.tobytes()).save(file)
    assert np.array_equal(as_array(decode(str(file), image_format(1)))[..., 0], deep // 256)


def test_16_bits_of_a_pgm_are_scaled_and_not_refused(tmp_path):
    deep = (np.arange(24 * 24).reshape(24, 24) * 113).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 24 24 65535\n" + deep.tobytes())
    assert np.array_equal(as_array(decode(str(tmp_path / "a.pgm"), image_format(1)))[..., 0], deep // 256)
    (tmp_path / "a.ppm").write_bytes(b"P6 24 24 65535\n" + np.repeat(deep, 3, 1).tobytes())
    assert np.abs(as_array(decode(str(tmp_path / "a.ppm"), image_format(3)))[..., 2] - deep // 256).max() <= 1


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_the_first_of_several_frames_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    red, green, _ = decode(str(tmp_path / f"a.{suffix}"), image_format()).float().mean((1, 2)).tolist()
    assert red > 240
    assert green < 15


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(60, 47), (47, 60), (200, 90), (11, 17)])
def test_squash_and_pad_keep_the_whole_image(tmp_path, shape, channels):
    file = write(tmp_path / "a.png", pixels(*shape, channels))
    wanted = image_format(channels, (24, 32), crop=0.875)
    image = Image.open(file)
    squashed = np.asarray(image.resize((32, 24), Image.Resampling.BILINEAR)).reshape(24, 32, channels)
    assert np.array_equal(as_array(decode(file, wanted, Reading("squash"))), squashed)
    padded = as_array(decode(file, wanted, Reading("pad")))
    scale = min(24 / shape[0], 32 / shape[1])
    height, width = round(shape[0] * scale), round(shape[1] * scale)
    top, left = round((24 - height) / 2), round((32 - width) / 2)
    inside = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, channels)
    assert np.array_equal(padded[top : top + height, left : left + width], inside)
    assert padded.sum() == inside.sum()  # the rest is black


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_inverted_images_are_those_of_the_inverted_file(tmp_path, resize):
    array = pixels(60, 40)
    file, opposite = write(tmp_path / "a.png", array), write(tmp_path / "b.png", 255 - array)
    got = decode(file, image_format(), Reading(resize, invert=True))
    assert torch.equal(got, decode(opposite, image_format(), Reading(resize)))


def broken(tmp_path):
    whole = Path(write(tmp_path / "whole.jpg", pixels(64, 64))).read_bytes()
    contents = {"cut.jpg": whole[: len(whole) // 2], "empty.png": b"", "text.jpg": b"no image at all", "gone.jpg": None}
    for name, content in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    return [*contents]


@pytest.mark.parametrize("name", ["cut.jpg", "empty.png", "text.jpg", "gone.jpg"])
def test_the_error_names_an_unreadable_file(tmp_path, name):
    assert name in broken(tmp_path)
    with pytest.raises(LandbridgeError, match=rf"^{tmp_path / name}: cannot be read as an image \("):
        decode(str(tmp_path / name), image_format())


def test_pixels_without_a_range_are_refused(tmp_path):
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(LandbridgeError, match=r"a\.tif.*32 bits"):
        decode(str(tmp_path / "a.tif"), image_format())


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_from_a_worker_names_an_unreadable_file(tmp_path, workers):
    broken(tmp_path)
    inputs = FileInputs([str(tmp_path / "whole.jpg"), str(tmp_path / "cut.jpg")])
    batches = iter(
        DataLoader(OrderedBatches("test", Stream(inputs, image_format()), 1), batch_size=None, num_workers=workers)
    )
    with pytest.raises(LandbridgeError, match=rf"{tmp_path / 'cut.jpg'}: cannot be read as an image \("):
        list(batches)
    if workers:  # otherwise torch waits five seconds for the worker when the traceback is collected
        batches._shutdown_workers()


@pytest.fixture
def folder(tmp_path):
    return [write(tmp_path / f"{k}.png", pixels(20 + k, 30, seed=k)) for k in range(6)]


def test_batches_have_the_order_of_the_indices(folder):
    inputs = FileInputs(folder)
    batch = inputs.read(torch.tensor([4, 0, 4]), image_format())[0]
    assert len(inputs) == 6
    assert inputs.shape == (3, 0, 0)
    assert batch.shape == (3, 3, 24, 24)
    assert batch.dtype == torch.uint8
    for row, index in zip(batch, (4, 0, 4), strict=True):
        assert torch.equal(row, decode(folder[index], image_format()))


def test_workers_read_the_same_as_the_main_process(folder):
    def read(workers):
        stream = OrderedBatches("test", Stream(FileInputs(folder), image_format()), 2)
        return torch.cat([batch["x"].tensors[0] for batch in DataLoader(stream, batch_size=None, num_workers=workers)])

    assert torch.equal(read(0), read(1))


def test_reading_without_an_image_format_is_refused(folder):
    with pytest.raises(ValueError, match="image files need an image format"):
        FileInputs(folder).read(torch.tensor([0]), None)[0]


def test_selections_and_pickled_copies_keep_their_files_and_hashes(folder):
    inputs = FileInputs(folder)
    fresh = inputs.select(torch.tensor([5, 1]))
    hashes = inputs.hashes()
    for chosen in (fresh, inputs.select(torch.tensor([5, 1])), pickle.loads(pickle.dumps(fresh))):
        assert chosen.hashes() == [hashes[5], hashes[1]]
        assert torch.equal(chosen.read(torch.tensor([0]), image_format())[0][0], decode(folder[5], image_format()))


def test_hashes_depend_on_the_content_and_are_computed_once(folder, tmp_path):
    inputs = FileInputs(folder)
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes(Path(folder[2]).read_bytes())
    assert FileInputs([str(copy)]).hashes() == [inputs.hashes()[2]]
    assert len(set(inputs.hashes())) == 6
    for file in folder:
        Path(file).unlink()
    assert len(inputs.select(torch.tensor([0, 1])).hashes()) == 2


def test_a_file_is_read_again_only_if_it_may_have_changed(tmp_path, monkeypatch):
    path, read, original = tmp_path / "image.png", [], hashing._hash
    monkeypatch.setattr(hashing, "_hash", lambda path: read.append(path) or original(path))

    def hashes(*paths):
        return list(hashing.content_hashes(paths, None))

    path.write_text("one")
    (one,) = hashes(str(path))
    assert hashes(str(path)) == [one]
    assert len(read) == 2  # a file that was just written may be written again without a change of its times
    monkeypatch.setattr(hashing, "SETTLED_NS", -(10**12))
    assert [hashes(str(path), str(path)) for _ in range(3)] == [[one, one]] * 3
    assert len(read) == 3
    time.sleep(0.05)  # longer than one tick of the clock of file times
    path.write_text("two")
    (two,) = hashes(str(path))
    times = path.stat()
    time.sleep(0.05)
    path.write_text("six")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as tools that copy a file with its times do
    assert len({one, two, *hashes(str(path))}) == 3


def test_the_error_of_hashing_names_a_file_that_cannot_be_opened(folder, tmp_path):
    with pytest.raises(LandbridgeError, match=r"gone\.png: cannot be read \(No such file"):
        FileInputs([*folder, str(tmp_path / "gone.png")]).hashes()


def test_pickles_hold_paths_and_no_pixels(folder):
    inputs = FileInputs(folder)
    inputs.read(torch.arange(6), image_format(size=(224, 224)))[0]
    assert len(pickle.dumps(inputs)) < 2500


MEASURE = """
import re, sys, torch
from pathlib import Path
from landbridge.data.image_files import FileInputs
from landbridge.data.formats import ImageFormat

wanted = ImageFormat(3, (160, 160), (0.0,) * 3, (1.0,) * 3)
def peak(files, keep):
    inputs, kept = FileInputs(files), []
    for where in torch.arange(len(files)).split(10):
        batch = inputs.read(where, wanted)[0]
        kept = [*kept, batch] if keep else []
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

files = [f"{sys.argv[1]}/{k}.png" for k in range(500)]
print(peak(files[:50], False), peak(files, False), peak(files, True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory in /proc")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    for k in range(500):
        write(tmp_path / f"{k}.png", pixels(16, 16, seed=k))
    # A separate process, because memory that other tests have freed would hide the growth in this one.
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    few, many, kept = (float(mebibytes) for mebibytes in printed.split())
    # 500 images of 160 x 160 are 37 MiB. The last measurement keeps them, to show that growth is detected.
    assert many - few < 8
    assert kept - many > 24
