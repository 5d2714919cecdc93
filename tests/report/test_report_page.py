"""The files of a report, tested without a browser."""

import csv
import io
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_records import HOSTILE, hostile, made, write

from landbridge.record import OUTPUTS, SAMPLES, Record
from landbridge.report.__main__ import main
from landbridge.report.inserted import BEGIN, END

ROOT = Path(__file__).parents[2]


class Tables(HTMLParser):
    """Collect `data-v` of every body cell, by table and row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.keys: dict[str, list[str]] = {}
        self._table = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "table":
            self._table = given.get("id", "")
        elif tag == "tr" and self._table:
            self.rows.setdefault(self._table, []).append([])
        elif tag == "th" and "data-key" in given:
            self.keys.setdefault(self._table, []).append(given["data-key"])
        elif tag == "td" and "data-v" in given:
            self.rows[self._table][-1].append(given["data-v"])

    def table(self, name: str) -> list[dict[str, str]]:
        return [dict(zip(self.keys[name], row, strict=True)) for row in self.rows[name] if row]


def parsed(folder) -> Tables:
    tables = Tables()
    tables.feed((folder / "report.html").read_text())
    return tables


def rows(folder, name) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


def test_the_report_on_a_real_sweep_agrees_with_its_records(swept):
    records = {path.parent.name: Record.read(path) for path in swept.glob("*/record.json")}
    cells = {row["strategy"]: row for row in rows(swept, "report.csv")}
    assert cells.keys() == {"source_only", "dann", "target_only"}

    def accuracy(strategy, seed):
        return records[f"{strategy}-{seed}"].results["target"]["accuracy"]

    for strategy, row in cells.items():
        assert float(row["accuracy"]) == pytest.approx((accuracy(strategy, 0) + accuracy(strategy, 1)) / 2, rel=1e-5)
    gain = sum(accuracy("dann", seed) - accuracy("source_only", seed) for seed in (0, 1)) / 2
    assert float(cells["dann"]["gain"]) == pytest.approx(gain, abs=1e-6)
    assert (cells["dann"]["verdict"], cells["dann"]["reference"]) == ("undecided", "source_only")
    assert cells["target_only"]["stamp"] == "ORACLE"
    assert [row["stamp"] for row in rows(swept, "report.csv") if row["strategy"] != "target_only"] == ["", ""]
    assert len(rows(swept, "runs.csv")) == len(records) == 6


def test_the_page_and_the_csv_files_have_the_same_numbers(swept):
    page = parsed(swept)
    shown = page.table("table-cells") + page.table("table-oracle")
    kept = rows(swept, "report.csv")
    assert len(shown) == len(kept)
    for row, other in zip(shown, kept, strict=True):
        assert row == {key: other[key] for key in row}
    for row, other in zip(page.table("table-runs"), rows(swept, "runs.csv"), strict=True):
        assert row == {key: other[key] for key in row}


def test_the_page_needs_no_network(swept):
    page = (swept / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", page)
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page


def test_single_runs_have_plots_and_pictures(swept):
    page = (swept / "report.html").read_text()
    assert page.count("<template>") == 3
    assert page.count("Before training, principal components") == page.count("After training, principal") > 0
    assert "data:image/png;base64," in page
    assert "cannot be read" not in page


def test_numbers_of_a_single_seed_are_marked(tmp_path):
    write(tmp_path, [made("source_only", 0.5), made("dann", 0.6)])
    main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert "60.0 (n=1)" in text
    assert "+10.0 (n=1)" in text
    assert "1 seed is too few" in (tmp_path / "report.csv").read_text()


def test_the_first_screen_shows_the_advice(tmp_path):
    write(tmp_path, [made("source_only", 0.5), made("dann", 0.6), made("mcc", None)])
    main([str(tmp_path)])
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    screen = page[: page.index('<section id="verdicts">')]
    assert re.findall(r"<code>(.+?)</code>", screen) == ["hydra.launcher.retry_failed=true", "seed=range(5)"]
    assert re.findall(r"^(\d)\. .+? `(.+)`$", text, re.MULTILINE) == [
        ("1", "hydra.launcher.retry_failed=true"),
        ("2", "seed=range(5)"),
    ]
    assert "\n3. There is only one pair" in text


def test_a_loss_against_the_target_alone_is_called_negative_transfer(tmp_path):
    seeds = range(6)
    records = [made("target_only", 0.7 + 0.01 * seed, seed, source=None, target_labels=1) for seed in seeds]
    records += [made("fine_tune", 0.6 + 0.01 * seed + 0.002 * (seed % 2), seed, target_labels=1) for seed in seeds]
    write(tmp_path, records)
    main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert "harms in 1 (negative transfer); 0 undecided." in text
    assert "over target_only, harms (negative transfer gap)." in text
    assert "noon → dusk: fine_tune -9.9 points" in text


def test_names_and_titles_are_escaped_in_html(tmp_path):
    write(
        tmp_path,
        [made("source_only", source="<script>alert(1)</script>"), made("dann", source="<script>alert(1)</script>")],
    )
    main([str(tmp_path), "--title", "<b>&"])
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "<b>&<" not in page


def test_damaged_test_outputs_and_samples_are_named_on_the_page(tmp_path):
    write(tmp_path, [made("source_only"), made("dann")], outputs=True)
    (tmp_path / "1" / OUTPUTS).write_bytes(b"half a file")
    (tmp_path / "0" / SAMPLES).write_bytes(b"")
    main([str(tmp_path)])
    page = (tmp_path / "report.html").read_text()
    assert f"{OUTPUTS} cannot be read" in page
    assert f"{SAMPLES} cannot be read" in page
    assert page.count("Calibration: error") == 1


def test_the_options_out_metric_and_embedding_work(swept, tmp_path):
    main([str(swept), "--out", str(tmp_path / "deep" / "er"), "--metric", "macro_f1", "--embedding", "tsne"])
    (row,) = [row for row in rows(tmp_path / "deep" / "er", "report.csv") if row["strategy"] == "dann"]
    values = [Record.read(swept / f"dann-{seed}").results["target"]["macro_f1"] for seed in (0, 1)]
    assert float(row["macro_f1"]) == pytest.approx(sum(values) / 2, rel=1e-5)
    assert "After training, t-SNE" in (tmp_path / "deep" / "er" / "report.html").read_text()


def test_documented_report_commands_work(swept, tmp_path):
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    lines = re.findall(r"^landbridge-report (.+)$", "\n".join(page.read_text() for page in pages), re.MULTILINE)
    lines = [line for line in lines if "--card" not in line]  # those belong to the walk of docs/using_a_model.md
    assert lines
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    for line in lines:
        # A sweep and a page of the documentation are replaced by those of this test.
        own = re.sub(r"--into \S+", f"--into {page}", re.sub(r"outputs/\S+", str(swept), line))
        main([*own.split(), "--out", str(tmp_path)])
    assert (tmp_path / "report.html").is_file()
    assert "source_only" in page.read_text()


@pytest.mark.slow
def test_a_report_on_a_thousand_records_is_fast_and_small(tmp_path):
    records = [
        made(strategy, 0.5 + 0.001 * seed, seed, source=source, freeze__depth=depth, optimizer__lr=lr)
        for strategy in ("source_only", "dann", "mcc")
        for source in ("noon", "dawn", "night")
        for depth in (0, 1, 2)
        for lr in (0.001, 0.01, 0.1, 1.0)
        for seed in range(10)
    ]
    assert len(records) > 1000
    write(tmp_path, records, outputs=True)
    began = time.process_time()
    main([str(tmp_path)])
    assert time.process_time() - began < 10
    assert (tmp_path / "report.html").stat().st_size < 15e6
    assert len(rows(tmp_path, "runs.csv")) == len(records)


def test_hostile_names_are_shown_as_they_are_in_every_file(tmp_path):
    folder = hostile(tmp_path / "sweep")
    main([str(folder), "--title", HOSTILE[0]])
    read = Elements()
    read.feed((folder / "report.html").read_text())
    assert read.tags.count("script") == 1
    assert not {"iframe", "object", "embed", "form", "base"} & {*read.tags}
    assert not [name for name in read.attributes if name.startswith("on")]
    markdown = (folder / "report.md").read_text()
    assert not re.search(r"<(?!br>)", markdown)
    assert "](" not in markdown
    for line in markdown.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    rows = 0
    for file in folder.glob("*.csv"):
        for row in csv.reader(io.StringIO(file.read_text())):
            for cell in row:
                assert not re.match(r"[=@\t\r]|[+-](?!\d)", cell), cell
                rows += 1
    assert rows > 100
    assert f"'{HOSTILE[-1]}" in (folder / "runs.csv").read_text().replace('""', '"')


class Elements(HTMLParser):
    """Collect the names of all tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
