"""The page in a real browser: no errors, sorting, filtering, values by keyboard, and the numbers of the CSV."""

import csv
import shutil

import pytest
from made_records import HOSTILE, hostile

from landbridge.report.__main__ import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Chromium does not start its sandbox as root, and the user in a container is root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def page(request, browser, swept):
    """Open the report without a network. Every message in the console fails the test."""
    context = browser.new_context(color_scheme=request.param, offline=True)
    page = context.new_page()
    messages = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(f"file://{swept / 'report.html'}")
    yield page
    assert messages == []
    context.close()


def column(page, table: str, key: str) -> list[str]:
    script = """([table, key]) => { const t = document.getElementById(table);
        const i = [...t.tHead.rows[0].cells].findIndex(th => th.dataset.key === key);
        return [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[i].dataset.v); }"""
    return page.evaluate(script, [table, key])


def test_tables_sort_by_numbers_and_by_words(page):
    head = page.locator("#table-runs th[data-key=accuracy]")
    for turn, down in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == turn
        values = [float(value) for value in column(page, "table-runs", "accuracy")]
        assert len(values) == 6
        assert values == sorted(values, reverse=down)
    page.locator("#table-runs th[data-key=method] button").focus()
    page.keyboard.press("Enter")
    words = column(page, "table-runs", "method")
    assert words == sorted(words)
    assert head.get_attribute("aria-sort") is None


def test_tables_filter_by_words(page):
    search = page.locator("#t-runs .filter input")
    search.fill("DANN noon")
    assert column(page, "table-runs", "method") == ["dann", "dann"]
    assert page.locator("#t-runs .filter output").inner_text() == "2 of 6"
    search.fill("")
    assert len(column(page, "table-runs", "method")) == 6


def test_numbers_on_the_page_equal_those_of_the_csv(page, swept):
    with (swept / "report.csv").open() as file:
        kept = list(csv.DictReader(file))
    for key in ("accuracy", "gain", "holm_p", "seconds"):
        shown = column(page, "table-cells", key)
        assert shown == [row[key] for row in kept if row["stamp"] == ""]
    gain = float(next(row["gain"] for row in kept if row["gain"]))
    text = page.locator("#table-cells tbody tr").filter(has_text="undecided").inner_text()
    assert f"{round(100 * gain, 1) + 0:+.1f} " in text


def test_values_are_shown_on_hover_and_by_keyboard(page):
    plot = page.locator("#verdicts svg.plot").first
    tip = page.locator("#tip")
    plot.locator(".mark").first.hover()
    assert "points over source_only" in tip.inner_text()
    page.mouse.move(0, 0)
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert tip.is_visible()
    assert "points over source_only" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_an_opened_single_run_shows_plots_and_pictures(page):
    details = page.locator("#details details").first
    assert details.locator("svg").count() == 0
    details.locator("summary").click()
    details.locator("svg.plot").first.wait_for()
    assert details.locator("svg.plot").count() == 4
    loaded = details.locator("img").evaluate_all("images => images.every(i => i.complete && i.naturalWidth > 0)")
    assert loaded


@pytest.mark.parametrize("width", [1280, 380])
def test_the_page_is_not_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_names_run_nothing_and_load_nothing(browser, tmp_path):
    folder = hostile(tmp_path / "sweep")
    main([str(folder), "--title", HOSTILE[0]])
    context = browser.new_context()
    page = context.new_page()
    requests, messages = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.goto(f"file://{folder / 'report.html'}")
    for details in page.locator("#details details").all():
        details.locator("summary").click()
        details.locator("svg.plot").first.wait_for()
    for mark in page.locator("svg .mark").all()[:20]:
        mark.dispatch_event("mouseover")
    assert [url for url in requests if not url.startswith(("file://", "data:"))] == []
    assert messages == []  # a script that only the policy of the page stops would leave a message
    assert page.evaluate("window.hit") is None
    assert page.locator("script").count() == 1
    assert page.locator("iframe, object, embed, form, base, img:not([src^='data:'])").count() == 0
    handlers = "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on')))"
    assert page.evaluate(f"{handlers}.length") == 0
    shown = page.locator("body").inner_text() + " ".join(page.locator("svg title, svg text").all_text_contents())
    for name in HOSTILE:
        assert name in shown, name
    context.close()


def test_the_policy_of_the_page_stops_other_scripts_and_requests(browser, swept, tmp_path):
    page_file = tmp_path / "changed.html"
    added = "<script>window.hit = 1</script><img src='http://127.0.0.1:9/x' onerror='window.hit = 1'>"
    page_file.write_text((swept / "report.html").read_text().replace("<main>", f"<main>{added}"))
    context = browser.new_context()
    page = context.new_page()
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    page.goto(f"file://{page_file}")
    assert page.locator("main").inner_text()
    assert page.evaluate("window.hit") is None
    assert all(reason == "csp" for reason in failed)
    context.close()
