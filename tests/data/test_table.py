import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import mean_absolute_error, r2_score

from landbridge.data.image_files import FileInputs
from landbridge.data.inputs import TensorInputs
from landbridge.data.sources.table import table
from landbridge.data.text_inputs import TextInputs
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, MultiLabel, Regression, Several

pl = pytest.importorskip("polars")

WORDS = [f"review number {n}" for n in range(60)]
STARS = [("low", "mid", "high")[n % 3] for n in range(60)]


@pytest.fixture
def save(tmp_path):
    """Return a function that writes columns, or the bytes of a file, and returns the path of the file."""

    def write(content, name="reviews.csv"):
        path = tmp_path / name
        if isinstance(content, bytes | str):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            return str(path)
        frame = pl.DataFrame(content, strict=False)
        if name.endswith("parquet"):
            frame.write_parquet(path)
        elif name.endswith("jsonl"):
            path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
        else:
            frame.write_csv(path, separator="\t" if name.endswith("tsv") else ",")
        return str(path)

    return write


def rows_of(domain, split):
    """Return the content and the label of every row of a split."""
    part = domain.splits[split]
    labels = part.labels.open("test").tolist()
    texts = part.inputs.texts if isinstance(part.inputs, TextInputs) else part.inputs.tensor.tolist()
    return list(zip(texts, labels, strict=True))


def everything(domain):
    return [row for split in domain.splits for row in rows_of(domain, split)]


def with_cell(row, column, value, base=None):
    """Return a table of reviews in which one cell has another value; `row` is counted as a person does."""
    content = {"text": list(WORDS), "stars": list(STARS), **(base or {})}
    content[column] = list(content[column])
    content[column][row - 2] = value
    return content


def as_csv(content):
    lines = [",".join(content)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row) for row in zip(*content.values(), strict=True)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.tsv", "reviews.jsonl", "reviews.parquet"])
def test_every_kind_of_file_gives_the_same_domain(name, save):
    texts = [*WORDS[:57], 'a "quoted", text', "two\nlines", "caf\u00e9 \u4f60\u597d"]
    domain = table(save({"text": texts, "stars": STARS}, name), text="text", label="stars")
    assert (domain.name, domain.modality, domain.classes) == ("reviews", "text", ("high", "low", "mid"))
    found = {(text, domain.classes[label]) for text, label in everything(domain)}
    assert found == set(zip(texts, STARS, strict=True))
    other = table(save({"text": texts, "stars": STARS}, "other.csv"), name="reviews", text="text", label="stars")
    assert other.fingerprint == domain.fingerprint


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (["b", "a", " a "] * 20, Classification(("a", "b"))),
        ([True, False] * 30, Classification(("false", "true"))),
        ([10, 9, 11] * 20, Classification(("9", "10", "11"))),
        ([1.0, 2.0] * 30, Classification(("1", "2"))),
        ([1.5, 2.0] * 30, Regression(("y",))),
        (list(range(60)), Regression(("y",))),
        (["a|b", "b", "c| a"] * 20, MultiLabel(("a", "b", "c"))),
    ],
)
def test_the_task_follows_from_the_label(label, task, save):
    assert table(save({"x": WORDS, "y": label}), text="x", label="y", separator="|").task == task


@pytest.mark.parametrize(
    ("label", "wanted", "task"),
    [
        ([1, 2, 3] * 20, "regression", Regression(("y",))),
        ([0.5, 1.0] * 30, "classification", Classification(("0.5", "1.0"))),
        (["a", "b"] * 30, "multi_label", MultiLabel(("a", "b"))),
        (list(range(30)) * 2, {"y": "classification"}, Classification(tuple(map(str, range(30))))),
    ],
)
def test_the_task_can_be_set(label, wanted, task, save):
    given = {"split": ["train", "test"] * 30} if isinstance(wanted, dict) else {}
    label = [n // 2 for n in range(60)] if given else label
    path = save({"x": [*WORDS], "y": label, "part": ["train"] * 60})
    if given:
        with pytest.raises(LandbridgeError, match="no sample for"):
            table(path, text="x", label="y", task=wanted, stratify=True)
        return
    assert table(path, text="x", label="y", task=wanted, separator="|").task == task


def test_the_label_minus_one_is_a_class_only_beside_one_or_on_request(save):
    numbers = {"a": [float(k) for k in range(30)], "y": [k % 3 - 1 for k in range(30)]}
    read = {"numbers": "a", "label": "y"}
    with pytest.raises(LandbridgeError, match=r"row 2, column y: -1 often marks rows without a label; name it in"):
        table(save(numbers), **read)
    assert table(save(numbers), **read, task="classification").classes == ("-1", "0", "1")
    assert table(save(numbers), **read, missing_values=["-1"], missing="drop").classes == ("0", "1")
    assert table(save(numbers | {"y": [k % 2 * 2 - 1 for k in range(30)]}), **read).classes == ("-1", "1")


def test_numbers_are_one_vector_and_all_leaves_out_other_roles(save):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    columns = {"a": x[:, 0], "b": x[:, 1], "city": STARS, "c": x[:, 2], "y": np.arange(60) * 0.5, "who": np.arange(60)}
    path = save(columns, "t.parquet")
    domain = table(path, numbers="all", label="y", groups="who")
    assert domain.shape == (3,)
    found = {tuple(vector): label[0] for vector, label in everything(domain)}
    assert found == {tuple(row.tolist()): n * 0.5 for n, row in enumerate(x)}
    assert table(path, numbers=["c", "a"], label="city").shape == (2,)
    assert table(path, numbers="c", label="city").shape == (1,)


def test_images_are_found_beside_the_table(save, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    for n in range(30):
        Image.new("RGB", (4, 4), (n, 0, 0)).save(tmp_path / "scans" / f"{n}.png")
    path = save({"path": [f"scans/{n}.png" for n in range(30)], "finding": STARS[:30]})
    monkeypatch.chdir("/")
    domain = table(path, image="path", label="finding")
    assert domain.modality == "image"
    assert isinstance(domain.splits["train"].inputs, FileInputs)
    (tmp_path / "scans/7.png").unlink()
    with pytest.raises(LandbridgeError, match=r"row 9, column path: there is no file .*scans/7\.png"):
        table(path, image="path", label="finding")


def test_a_split_column_is_kept_in_any_case(save):
    part = ["Train"] * 36 + ["VAL"] * 12 + ["test"] * 12
    domain = table(save({"x": WORDS, "y": STARS, "part": part}), text="x", label="y", split="part")
    assert [len(domain.splits[name].inputs) for name in ("train", "val", "test")] == [36, 12, 12]
    assert {text for text, _ in rows_of(domain, "test")} == set(WORDS[48:])


def test_groups_and_equal_texts_stay_in_one_split(save):
    texts = [WORDS[n % 30] for n in range(60)]
    domain = table(save({"x": texts, "y": [STARS[n % 30] for n in range(60)]}), text="x", label="y")
    assert sum(len({text for text, _ in rows_of(domain, split)}) for split in domain.splits) == 30
    who = [f"p{n // 3}" for n in range(60)]
    domain = table(
        save({"x": WORDS, "y": STARS, "who": who}), text="x", label="y", groups="who", attributes=["who", "y"]
    )
    held = [set(part.attributes["who"]) for part in domain.splits.values()]
    assert sum(map(len, held)) == 20


def test_attributes_stay_with_their_rows(save):
    city = [None if n == 3 else f"city {n % 7}" for n in range(60)]
    code = [f"00{n}" for n in range(60)]
    path = save({"x": WORDS, "y": STARS, "city": city, "code": code})
    domain = table(path, text="x", label="y", attributes=["city", "code"])
    for part in domain.splits.values():
        for text, here, number in zip(part.inputs.texts, part.attributes["city"], part.attributes["code"], strict=True):
            row = WORDS.index(text)
            assert (here, number) == (city[row] or "missing", code[row])
    assert table(path, text="x", label="y").fingerprint != domain.fingerprint
    assert not table(path, text="x", label="y").splits["train"].attributes


def test_a_class_that_occurs_once_in_one_of_several_columns_is_named(save, caplog):
    kind = ["low" if n % 2 else "high" for n in range(60)]
    path = save({"x": WORDS, "kind": [*kind[:-1], None], "other": [*kind[:7], "once", *kind[8:]]})
    table(path, text="x", label=["kind", "other"])
    assert [m for m in caplog.messages if "in this row only" in m] == [
        f"{path}: row 9, column other: the class 'once' is in this row only"
    ]


def test_several_label_columns_are_several_tasks_with_hidden_labels(save):
    rng = np.random.default_rng(0)
    kind = [None if rng.random() < 0.4 else STARS[n] for n in range(60)]
    price = [None if rng.random() < 0.4 else float(n) + 0.5 for n in range(60)]
    tags = [None if rng.random() < 0.4 else ("red|big", "", "big")[n % 3] for n in range(60)]
    kind[5], price[6], tags[7] = "low", 6.5, "red|big"
    nothing = [n for n in range(60) if kind[n] is None and price[n] is None and tags[n] is None]
    path = save({"x": WORDS, "kind": kind, "price": price, "tags": tags})
    settings = {"text": "x", "label": ["kind", "price", "tags"], "separator": "|"}
    with pytest.raises(LandbridgeError, match=rf"row {nothing[0] + 2}, column kind: kind, price, tags are all missing"):
        table(path, **settings)
    domain = table(path, missing="drop", **settings)
    assert isinstance(domain.task, Several)
    assert [task.kind for task in domain.task.tasks.values()] == ["classification", "regression", "multi_label"]
    found = dict(everything(domain))
    assert set(found) == {WORDS[n] for n in range(60) if n not in nothing}
    names = ("high", "low", "mid")
    for text, (first, second, *third) in found.items():
        row = WORDS.index(text)
        assert np.isnan(first) if kind[row] is None else names[int(first)] == kind[row]
        assert np.isnan(second) if price[row] is None else second == price[row]
        held = tags[row]
        assert np.isnan(third).all() if held is None else third == [float(name in held) for name in ("big", "red")]


def test_rows_that_lack_a_value_are_left_out_on_demand(save):
    content = with_cell(9, "stars", None, with_cell(12, "text", None))
    content = content | {"text": [*WORDS[:10], None, *WORDS[11:]]}
    domain = table(save(content), text="text", label="stars", missing="drop")
    assert {text for text, _ in everything(domain)} == {w for n, w in enumerate(WORDS) if n not in (7, 10)}
    empty_lines = as_csv({"text": WORDS, "stars": STARS}) + "\n\n"
    assert len(everything(table(save(empty_lines), text="text", label="stars"))) == 60


def test_other_encodings_delimiters_and_marks_are_settings(save):
    content = as_csv({"text": [f"caf\u00e9 {n}" for n in range(60)], "y": [*map(str, np.arange(59) / 2), "n/a"]})
    path = save(content.replace(",", ";").encode("latin-1"))
    settings = {"text": "text", "label": "y", "encoding": "latin-1", "delimiter": ";"}
    domain = table(path, missing_values=["n/a"], missing="drop", **settings)
    assert dict(everything(domain))["caf\u00e9 3"] == [1.5]
    raw = as_csv({"text": [f'5" disk {n}' for n in range(60)], "y": STARS})
    assert len(everything(table(save(raw), text="text", label="y", quote=None))) == 60


LINES = [f"{text},{stars}" for text, stars in zip(WORDS, STARS, strict=True)]


def lines(row, line):
    """Return a CSV file with another line in place of a row."""
    return "\n".join(["text,stars", *LINES[: row - 2], line, *LINES[row - 1 :]]) + "\n"


NUMBERS = {"a": list(range(60)), "y": [n / 2 for n in range(60)]}
READ = {"text": "text", "label": "stars"}
TEXT = {"text": "x", "label": "y"}


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        pytest.param("", READ, r"reviews\.csv: the file is empty", id="empty"),
        pytest.param("text,stars\n", READ, r"the table has columns \(text, stars\), but no rows", id="no rows"),
        pytest.param(lines(7, "a,b,c"), READ, r"row 7 has 3 fields, but the header has 2 columns", id="ragged"),
        pytest.param(lines(7, "short"), READ, r"row 7, column stars: the value is missing", id="short"),
        pytest.param(lines(7, '"open,low'), READ, r"row 7: a quote \(\"\) is opened and never closed", id="quote"),
        pytest.param(lines(7, 'a "b" c,low"'), READ, r"row 7, column text: a quote", id="inner quote"),
        pytest.param(
            lines(7, "caf\u00e9,low").encode("latin-1"), READ, r"row 7, column text: the text is not", id="encoding"
        ),
        pytest.param(lines(7, '"a" b,low'), READ, r"row 7: a quote \(\"\) closes before", id="closed quote"),
        pytest.param(lines(7, "a,low").encode("utf-16"), READ, r"row 1 is not utf8; .*encoding=utf-16", id="utf-16"),
        pytest.param(lines(7, "a,low"), READ | {"encoding": "latinn"}, r"encoding=latinn is not", id="no encoding"),
        pytest.param(lines(7, "a,low"), READ | {"delimiter": ";;"}, r"delimiter=;; must be one", id="delimiter"),
        pytest.param(lines(7, "a,low"), READ | {"label": "star"}, r"no column star; nearest: stars", id="column"),
        pytest.param(
            lines(7, "a,low").replace(",", ";"), READ, r"no column text; .* set delimiter=';'", id="semicolons"
        ),
        pytest.param("stars,text,stars\n1,a,2\n", READ, r"row 1 names two columns stars", id="two columns"),
        pytest.param(lines(7, "a,"), READ, r"row 7, column stars: the value is missing", id="label"),
        pytest.param(lines(7, ",low"), READ, r"row 7, column text: the value is missing", id="text"),
        pytest.param(lines(7, "a,once"), READ, r"row 7, column stars: the class 'once' is in this row only", id="once"),
        pytest.param(as_csv({"x": WORDS, "y": ["a"] * 60}), TEXT, r"one class \(a\)", id="class"),
        pytest.param(
            as_csv(NUMBERS | {"a": [*range(10), "?", *range(11, 60)]}), {"numbers": ["a"], "label": "y"},
            r"row 12, column a: '\?' is not a number", id="number",
        ),
        pytest.param(
            as_csv(NUMBERS | {"a": [*range(10), None, *range(11, 60)]}), {"numbers": "all", "label": "y"},
            r"row 12, column a: the value is missing", id="missing number",
        ),
        pytest.param(
            as_csv(NUMBERS | {"a": [*range(10), "inf", *range(11, 60)]}), {"numbers": ["a"], "label": "y"},
            r"row 12, column a: inf is not a finite", id="infinite",
        ),
        pytest.param(
            as_csv(NUMBERS | {"y": [*range(10), "n/a", *range(11, 60)]}), {"numbers": ["a"], "label": "y"},
            r"row 12, column y: 'n/a' is not a number, but most labels are", id="numeric label",
        ),
        pytest.param(
            as_csv(NUMBERS | {"y": STARS}), {"numbers": ["a"], "label": "y", "task": "regression"},
            r"row 2, column y: 'low' is not a number", id="regression of text",
        ),
        pytest.param(
            as_csv({"x": WORDS, "y": STARS}), {"numbers": "all", "label": "y"}, r"no numeric", id="no numbers"
        ),
        pytest.param(
            as_csv({"x": WORDS, "y": STARS, "part": ["train"] * 59 + ["tset"]}),
            {"text": "x", "label": "y", "split": "part"},
            r"row 61, column part: 'tset' is no split; nearest: test", id="split",
        ),
        pytest.param(
            as_csv({"x": WORDS, "y": STARS, "part": ["test"] * 60}), {"text": "x", "label": "y", "split": "part"},
            r"column part assigns no row to train", id="no train",
        ),
        pytest.param(
            as_csv({"x": WORDS, "y": STARS, "who": [*range(59), None]}), {"text": "x", "label": "y", "groups": "who"},
            r"row 61, column who: the value is missing", id="group",
        ),
        pytest.param(lines(7, "a,low"), READ | {"task": "multi_label"}, r"target\.separator=", id="no separator"),
        pytest.param(lines(7, "a,low"), {"label": "stars"}, r"no column is set as the input", id="no input"),
        pytest.param(lines(7, "a,low"), READ | {"image": "text"}, r"text and image is set as the input", id="inputs"),
        pytest.param(lines(7, "a,low"), {"text": "text"}, r"label is not set", id="no label"),
        pytest.param(lines(7, "a,low"), READ | {"label": "text"}, r"both the input \(text\) and the label", id="both"),
        pytest.param(lines(7, "a,low"), READ | {"task": {"star": "regression"}}, r"nearest: stars", id="task"),
        pytest.param(lines(7, "a,low"), READ | {"attributes": ["a", "a"]}, r"attributes names .* a twice", id="twice"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_sentence_with_its_place(content, settings, sentence, save):
    with pytest.raises(LandbridgeError, match=sentence) as error:
        table(save(content), **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', r"row 2 is not JSON"),
        ("a.jsonl", '{"text": "a", "stars": "b"}\n7\n', r"row 2 is not a JSON object"),
        ("a.parquet", "nothing", r"cannot be read as parquet"),
        ("a.xlsx", "x", r"must end in one of \.csv"),
        ("a.npz", "x", r"must end in one of .*; an \.npz file of arrays is target=vectors"),
    ],
)
def test_damaged_files_of_other_kinds_are_refused(name, content, sentence, save):
    with pytest.raises(LandbridgeError, match=sentence):
        table(save(content, name), **READ)


def test_a_folder_a_missing_file_and_a_missing_setting_are_refused(tmp_path, save):
    with pytest.raises(LandbridgeError, match="there is no such file"):
        table(str(tmp_path / "none.csv"), **READ)
    with pytest.raises(LandbridgeError, match="is a folder, not a file; a folder of images is"):
        table(str(tmp_path), **READ)
    save(lines(7, "a,low"))
    with pytest.raises(LandbridgeError, match=r"is a folder, not a file; name a file in it, such as reviews\.csv"):
        table(str(tmp_path), **READ)
    with pytest.raises(LandbridgeError, match="file is not set"):
        table(**READ)


def test_without_polars_the_error_names_the_extra(save, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(LandbridgeError, match=r"pip install 'landbridge\[tables\]'"):
        table("reviews.csv", **READ)


def test_lists_of_labels_need_no_separator(save):
    tags = [["red", "big"], ["big"], []] * 20
    domain = table(save({"x": WORDS, "y": tags}, "t.jsonl"), text="x", label="y")
    assert domain.task == MultiLabel(("big", "red"))
    found = dict(everything(domain))
    assert all(
        found[text] == [float(n in held) for n in ("big", "red")] for text, held in zip(WORDS, tags, strict=True)
    )


def outputs_of(folder):
    with np.load(folder / "test_outputs.npz") as kept:
        return kept["target_logits"], kept["target_labels"]


def run_on(tiny, path, *overrides, folder="run"):
    fixed = ("source=null", "target=table", f"target.file={path}", "target.numbers=all", "backbone=mlp")
    return tiny(*fixed, *overrides, folder=folder)


def test_regression_on_diabetes_agrees_with_scikit_learn(tiny, save, tmp_path):
    data = load_diabetes()
    columns = dict(zip(data.feature_names, data.data.T, strict=True))
    path = save(columns | {"progression": data.target}, "diabetes.csv")
    record = run_on(tiny, path, "target.label=progression", "strategy=target_only", "target_labels=all",
                    "trainer.max_epochs=20", "data.steps_per_epoch=10")  # fmt: skip
    assert record.data["target"]["task"]["kind"] == "regression"
    values, y = outputs_of(tmp_path / "run")
    result = record.results["target"]
    assert result["r2"] == pytest.approx(r2_score(y, values), abs=1e-6)
    assert result["mae"] == pytest.approx(mean_absolute_error(y, values), abs=1e-4)
    assert result["r2"] > 0.2


def test_classification_on_iris_learns(tiny, save, tmp_path):
    data = load_iris()
    columns = {f"f{n}": column for n, column in enumerate(data.data.T)}
    path = save(columns | {"species": data.target_names[data.target]}, "iris.csv")
    record = run_on(tiny, path, "target.label=species", "strategy=target_only", "target_labels=all",
                    "trainer.max_epochs=20", "data.steps_per_epoch=10")  # fmt: skip
    logits, y = outputs_of(tmp_path / "run")
    assert record.results["target"]["accuracy"] == pytest.approx((logits.argmax(1) == y).mean())
    assert record.results["target"]["accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["regression", "multi_label", "several"])
def test_garbage_in_hidden_labels_changes_no_weight(kind, tiny, save, tmp_path):
    """Two files differ only in labels that a run with `target_labels=8` does not show."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4))
    part = ["train"] * 60 + ["val"] * 15 + ["test"] * 15
    columns = {f"f{n}": column for n, column in enumerate(x.T)} | {"part": part}
    price, other = x[:, 0] + 0.123, rng.normal(size=90) * 9 + 0.123
    tags = [("a|b", "b|c", "a")[n % 3] for n in range(90)]
    budget = 8
    # The order of samples that show their labels depends on the seed alone; see `Labels.visible`.
    seen = torch.zeros(90, dtype=torch.bool)
    for first, size in ((0, 60), (60, 15)):
        # The samples of a split stand in the order of their contents.
        contents = TensorInputs(torch.from_numpy(x[first : first + size]).float()).hashes().items()
        order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
        seen[first + contents.argsort()[order[:budget]]] = True
    mixed = np.where(seen, price, other)
    garbled = [
        tag if shown else ("c", "b", "a|c")[n % 3] for n, (tag, shown) in enumerate(zip(tags, seen, strict=True))
    ]
    labels = {
        "regression": ("price", [{"price": price}, {"price": mixed}]),
        "multi_label": ("tags", [{"tags": tags}, {"tags": garbled}]),
        "several": ("[price,tags]", [{"price": price, "tags": tags}, {"price": mixed, "tags": garbled}]),
    }
    label, files = labels[kind]
    weights, results = [], []
    for n, held in enumerate(files):
        path = save(columns | held, f"{n}.csv")
        record = run_on(tiny, path, f"target.label={label}", "target.separator='|'", "target.split=part",
                        "strategy=target_only", f"target_labels={budget}", folder=str(n))  # fmt: skip
        (checkpoint,) = (tmp_path / str(n)).glob("last.ckpt")
        weights.append(torch.load(checkpoint, weights_only=False)["state_dict"])
        results.append(record.results["target"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert results[0] != results[1]
    leading = {"regression": "r2", "multi_label": "mean_average_precision", "several": "mean"}
    assert all(leading[kind] in each for each in results)


def test_text_inputs_select_and_hash_like_a_list():
    texts = ["", "a", "caf\u00e9", "\u4f60\u597d", "a"]
    inputs = TextInputs(texts)
    assert list(inputs.texts) == texts
    assert inputs.texts[1:3][1] == "caf\u00e9"
    hashes = inputs.hashes()
    assert len(set(hashes)) == 4
    assert hashes[1] == hashes[4] == TextInputs(["a"]).hashes()[0]
    where = torch.tensor([3, 1, 0])
    assert list(inputs.select(where).texts) == [texts[index] for index in where]
    assert inputs.select(where).hashes() == [hashes[index] for index in where]
    assert TextInputs(texts).select(where).hashes() == [hashes[index] for index in where]
