"""The page in a real browser: whole, in contrast, reached by keys, silent, and of one piece."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from planted_report import report as planted
from playwright.sync_api import Browser, Page, sync_playwright

from polyrot.report.html.page import page as render
from polyrot.verdict.record import read_verdict

REPORTS = Path(__file__).parents[2] / "reports"
PAGES = ("planted", "dyck3", "dyck3-independent", "markov")
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("POLYROT_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
"""Where the variable names one, these tests are not left out."""
LARGEST = 3 * 2**20

OUTSIDE = """width => [...document.querySelectorAll('body *')].filter(e => {
  if (e.closest('.skip') || e.closest('svg') && e.tagName !== 'text') return false;
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && (box.left < -0.5 || box.right > width + 0.5);
}).map(e => e.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll('body *:not(svg *)')].filter(e => {
  const hides = ['hidden', 'clip'].includes(getComputedStyle(e).overflowX);
  return hides && e.scrollWidth > e.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 120))"""
OVERLAPS = """() => [...document.querySelectorAll('.ticks')].filter(t => {
  const boxes = [...t.children].map(c => c.getBoundingClientRect()).filter(b => b.width);
  return boxes.some((b, i) => i && b.left < boxes[i - 1].right - 0.5);
}).map(t => t.innerText)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no Chromium here: install the distribution's package `chromium`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which(BROWSER) or BROWSER, args=["--no-sandbox"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=PAGES)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    if request.param == "planted":
        report = planted()
    else:
        report = read_verdict(REPORTS / request.param / "verdict.json")
    (folder / "verdict.json").write_text(report.to_json(), encoding="utf-8")
    (folder / "index.html").write_text(render(report), encoding="utf-8")
    return folder / "index.html"


def opened(browser: Browser, file: Path, width: int = 1400, **options: str) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    return page


def ids(file: Path) -> list[str]:
    return [record.id for record in read_verdict(file.parent / "verdict.json").records]


@pytest.mark.seconds
def test_it_is_one_small_piece_without_scripts(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', text)
    assert not re.findall(r"url\((?!#)[^)]*\)|@import", text)


def test_every_measurement_is_there_and_nothing_is_fetched_or_complained_of(
    browser: Browser, file: Path
) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    assert said == [file.as_uri()]
    shown = page.locator(".measurement").count()
    assert shown == len(ids(file))
    for claim in {id.partition("/")[0] for id in ids(file)}:
        assert page.locator(f"[id='{claim}'] h3 .badge").is_visible()
    # A picture or, where nothing was measured, the reason.
    for box in page.locator(".measurement").all():
        assert box.locator(".row.models").count() or box.locator("p").first.inner_text().strip()
    page.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_cut(browser: Browser, file: Path, width: int) -> None:
    page = opened(browser, file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE, width) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPS) == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, file: Path, scheme: str) -> None:
    page = opened(browser, file, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"][:5]]) for v in found] == []
    page.close()


def test_every_drawing_has_a_text(browser: Browser, file: Path) -> None:
    page = opened(browser, file)
    assert (
        page.locator(".drawing").count() == page.locator(".drawing[role=img][aria-label]").count()
    )
    numbers = page.locator("figure.drawn").filter(has=page.locator("details .numbers"))
    assert numbers.count() == page.locator("figure.drawn").count()
    page.close()


def test_keys_reach_everything_that_opens(browser: Browser, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
    assert page.evaluate("[...document.querySelectorAll('summary')].every(s => s.tabIndex === 0)")
    page.close()


def test_print_opens_what_is_folded(browser: Browser, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    inside = page.locator("details:not([open], .data) > :not(summary)").first
    assert not inside.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert inside.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 27, 27)"
    page.close()
