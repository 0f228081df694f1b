"""The page as a whole in a real browser: its languages and looks, what it may load, what axe-core finds, its pictures.

DOCDECK_SCREENSHOTS=1 renews the pictures of the README in docs/.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
import requests
from playwright.sync_api import Locator, Page, expect

import api
import forms
import storage
from pipeline import ingestion, ocr, pdf
from tests.page_tools import DESKTOP, PHONE, VOICES, card_of, remember_job, with_a_deck, write_job
from tests.support import ROOT, Service

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
WEB = ROOT / "web"


# Languages --------------------------------------------------------------------------------------------------------


def test_the_language_is_the_browsers_can_be_switched_and_is_remembered(open_page: Callable[..., Page]) -> None:
    page = open_page(locale="vi-VN")
    html, choose_label = page.locator("html"), page.locator("label[for=files]")
    expect(html).to_have_attribute("lang", "vi")
    expect(choose_label).to_have_text("Chọn tệp")
    page.get_by_role("button", name="English").click()
    expect(html).to_have_attribute("lang", "en")
    expect(choose_label).to_have_text("Choose files")
    page.reload()
    expect(html).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="English")).to_have_attribute("aria-pressed", "true")


def test_a_switch_of_the_language_changes_rows_cards_and_map_and_leaves_turned_cards_turned(
    page: Page, deck: Locator, cards: list[dict[str, Any]]
) -> None:
    card = cards[0]
    card_of(deck, card["word"]).click()
    deck.get_by_role("searchbox").fill("a")
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(deck.locator(".job-count")).to_have_text(f"{len(cards)} thẻ")
    expect(deck.locator(".toggle")).to_have_text("Ẩn thẻ")
    expect(deck.get_by_role("searchbox", name="Tìm theo từ hoặc nghĩa")).to_have_value("a")
    expect(card_of(deck, card["word"]).locator(".page")).to_have_text(f"trang {card['example_page']}")
    expect(deck.locator(".card.turned")).to_have_count(1)
    kinds = set(deck.locator(".kind span:first-child").all_text_contents())
    assert kinds <= {"từ", "cụm từ", "cụm từ nối"}
    deck.get_by_role("button", name="Sơ đồ").click()
    expect(deck.locator(".map").get_by_text("Các mục khác")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(deck.locator(".map").get_by_text("Other terms")).to_be_visible()


def test_every_text_exists_in_both_languages_and_every_text_that_is_used_exists(page: Page) -> None:
    keys = page.evaluate(
        """async () => {
          const messages = await import("/static/messages.js");
          const name = (value) => typeof value === "object" ? Object.keys(value) : typeof value;
          const shape = (texts) => Object.entries(texts).map(([key, value]) => [key, name(value)]);
          return Object.values(messages.texts).map(shape);
        }"""
    )
    assert keys[0] == keys[1]
    scripts = {script.name: script.read_text() for script in WEB.glob("*.js") if script.name != "texts.js"}
    code = (WEB / "index.html").read_text() + "".join(scripts.values())
    known = {key for key, _ in keys[0]}
    assert {key for key in known if not re.search(rf'["`]{key}\b', code)} == set()  # nobody says it
    said = r'\bdata-(?:text|label|placeholder)="(\w+)"|\bsay\((?:\w+|find\([^()]*\)), "(\w+)"|\bfail\(job, "(\w+)"'
    used = {key for found in re.findall(said, code) for key in found if key}
    assert len(used) > 60
    assert used - known == set()


def test_what_the_server_says_of_a_document_is_told_in_vietnamese_beside_its_own_words(
    open_page: Callable[..., Page], service: Service
) -> None:
    sentences = [pdf.LOCKED, pdf.DAMAGED, pdf.TOO_HARD, pdf.NO_TEXT, ocr.NO_WORDS, ocr.DAMAGED, storage.TOO_LARGE]
    sentences += [ocr._MISSING, ingestion._TOO_BIG, ingestion._DOCX_LOCKED, ingestion._DOCX_DAMAGED, storage.GONE]
    sentences += [ingestion._DOCX_TOO_HARD, forms.NO_DOCUMENT, ocr.TOO_BIG.format(width=1, height=1), api.AWAY]
    write_job(service, "locked", status="failed", error=pdf.LOCKED)
    page = open_page(locale="vi-VN")
    gists = "async all => import('/static/reasons.js').then(({ gist }) => all.map(gist))"
    told = page.evaluate(gists, sentences)
    assert None not in told
    remember_job(page, "locked", "locked.pdf")
    note = page.locator(".note")
    expect(note).to_have_text(f"Tài liệu được khóa bằng mật khẩu. Hãy bỏ mật khẩu rồi tải lên lại. ({pdf.LOCKED})")
    page.get_by_role("button", name="English").click()
    expect(note).to_have_text(pdf.LOCKED)


# Looks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["en-US", "vi-VN"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    open_page: Callable[..., Page], sample_job: str, locale: str
) -> None:
    page = open_page(locale=locale, viewport=PHONE, script=VOICES)
    deck = with_a_deck(page, sample_job)
    deck.locator(".card").first.click()
    for view in ("cards", "map", "levels"):
        deck.locator(f"[data-view={view}]").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    deck.locator(".remove").click()
    for more in page.locator("summary").all():
        more.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    cut_off = "all => all.filter(one => one.offsetParent && one.scrollWidth > one.clientWidth + 1).length"
    assert page.locator("button, a.pill, summary").evaluate_all(cut_off) == 0


def test_who_wants_no_motion_gets_none(open_page: Callable[..., Page], sample_job: str) -> None:
    page = open_page(reduced_motion="reduce")
    with_a_deck(page, sample_job).locator(".card").first.click()
    moving = "document.getAnimations().filter(one => one.effect.getComputedTiming().activeDuration > 0).length"
    assert page.evaluate(moving) == 0


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious_on_an_empty_page_an_open_deck_and_a_map(
    open_page: Callable[..., Page], service: Service, cards: list[dict[str, Any]], scheme: str, size: dict[str, int]
) -> None:
    page = open_page(color_scheme=scheme, viewport=size, script=VOICES, reduced_motion="reduce")
    axe_finds_nothing(page)
    few = sorted(cards, key=lambda card: (card["cluster_id"], card["cefr_estimated"]))[::6]  # axe takes long for each
    write_job(service, "few", status="completed", progress="100", result=json.dumps({"flashcards": few}))
    deck = with_a_deck(page, "few")
    deck.locator(".card").first.click()
    deck.locator(".know").nth(1).click()
    deck.locator(".remove").click()
    for more in page.locator("summary").all():
        more.click()
    axe_finds_nothing(page)
    for view in ("map", "levels"):
        deck.locator(f"[data-view={view}]").click()
        expect(deck.locator(f".view-{view} > *")).to_be_visible()
        axe_finds_nothing(page)


def axe_finds_nothing(page: Page) -> None:
    """No violation that axe-core calls serious or critical."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 10
    assert [
        f"{violation['id']}: {node['html'][:200]} {node.get('failureSummary')}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ] == []


# What it may do ---------------------------------------------------------------------------------------------------


def test_the_page_is_light_and_loads_nothing_from_elsewhere(open_page: Callable[..., Page], service: Service) -> None:
    assert sum(file.stat().st_size for file in WEB.rglob("*") if file.is_file() and file.stem != "admin") < 150_000
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload(wait_until="networkidle")
    assert asked
    assert [url for url in asked if not url.startswith(service.url)] == []


def test_the_policy_allows_the_pages_own_parts_and_the_bucket_and_nothing_inline(
    page: Page, service: Service, errors: list[str]
) -> None:
    policy = requests.get(service.url, timeout=10).headers["Content-Security-Policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    bucket = service.env["AWS_ENDPOINT_URL_S3"]
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {bucket}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    html = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", html)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"window.ran = 1\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in error for error in errors)
    errors.clear()


# Pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("DOCDECK_SCREENSHOTS"), reason="set DOCDECK_SCREENSHOTS to renew docs/*.png")
def test_the_pictures_of_the_readme(open_page: Callable[..., Page], sample_job: str) -> None:
    docs = ROOT / "docs"
    docs.mkdir(exist_ok=True)
    page = open_page(viewport={"width": 1120, "height": 980}, script=VOICES, reduced_motion="reduce")
    page.screenshot(path=docs / "page.png")
    deck = with_a_deck(page, sample_job)
    deck.get_by_label("Topic", exact=True).select_option(index=2)
    for number in (1, 5):
        deck.locator(".card:visible").nth(number).click()
    take_picture(page, docs / "deck.png")
    deck.get_by_role("button", name="Mind map").click()
    take_picture(page, docs / "map.png", whole=True)
    phone = open_page(viewport=PHONE, locale="vi-VN", color_scheme="dark", script=VOICES, reduced_motion="reduce",
                      has_touch=True, is_mobile=True, device_scale_factor=2)  # fmt: skip
    deck = with_a_deck(phone, sample_job)
    deck.locator(".card").nth(1).click()
    deck.locator(".topics").evaluate("topics => topics.scrollIntoView()")
    phone.screenshot(path=docs / "phone.png")


def take_picture(page: Page, path: Path, whole: bool = False) -> None:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=path, full_page=whole)
