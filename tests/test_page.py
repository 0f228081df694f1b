"""The page in a real browser, Debian's chromium, in front of the whole service: nothing between them is replaced.

Every test has a browser context of its own, and fails when the page writes an error to the console.
DOCDECK_SCREENSHOTS=1 renews the picture of the README, docs/page.png.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect, sync_playwright

from tests.support import ROOT, Service, need, wait_until

SAMPLE = ROOT / "samples" / "how-a-city-drinks.pdf"
SAMPLE_TEXT = SAMPLE.with_suffix(".txt")
PATIENCE = 60_000  # ms, for a document on its way
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# Everything that the first row's bar and note have ever shown, also between two looks of a test.
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const row = document.querySelector(".job");
    if (row) seen.push([row.querySelector("progress").getAttribute("value"), row.querySelector(".note").textContent]);
  }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """What went wrong in the page so far. A test that makes something go wrong takes it out again."""
    return []


@pytest.fixture
def open_page(browser: Browser, service: Service, errors: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens the page in a new context, made with the arguments that Browser.new_context takes."""
    contexts: list[BrowserContext] = []

    def open_it(locale: str = "en-US", **settings: Any) -> Page:
        contexts.append(browser.new_context(locale=locale, base_url=service.url, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def choose(page: Page, *files: Path) -> None:
    """Files through the browser's own file chooser, as a click on the button opens it."""
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose files", exact=True).click()
    chooser.value.set_files(files)


def row(page: Page, name: str) -> Locator:
    return page.locator(".job").filter(has=page.get_by_role("heading", name=name, exact=True))


def wait_for(row: Locator, state: str) -> None:
    expect(row).to_have_attribute("data-state", state, timeout=PATIENCE)


def saved_jobs(page: Page) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = json.loads(page.evaluate("localStorage.getItem('docdeck.jobs')"))
    return jobs


def server_cards(service: Service, job_id: str) -> list[dict[str, Any]]:
    status = requests.get(f"{service.url}/api/job-status/{job_id}", timeout=10).json()
    cards: list[dict[str, Any]] = json.loads(status["result"])["flashcards"] if "result" in status else []
    return cards


@pytest.fixture(scope="module")
def sample_job(service: Service) -> str:
    """The jobId of the sample, done."""
    with SAMPLE.open("rb") as file:
        answer = requests.post(
            f"{service.url}/api/upload-document-async", data={"userId": "ann"}, files={"file": file}, timeout=30
        )
    job_id = str(answer.json()["jobId"])
    wait_until(lambda: server_cards(service, job_id), PATIENCE / 1000, "the sample's cards")
    return job_id


@pytest.fixture(scope="module")
def cards(service: Service, sample_job: str) -> list[dict[str, Any]]:
    """The sample's cards as the server has them."""
    return server_cards(service, sample_job)


@pytest.fixture
def deck(page: Page, sample_job: str) -> Locator:
    """The sample's row with its cards, in a page that has nothing else."""
    return with_a_deck(page, sample_job)


def with_a_deck(page: Page, sample_job: str) -> Locator:
    remember_job(page, sample_job, SAMPLE.name)
    wait_for(row(page, SAMPLE.name), "completed")
    return row(page, SAMPLE.name)


def remember_job(page: Page, job_id: str, name: str) -> None:
    """As if this browser had uploaded the document of that job earlier."""
    jobs = [{"jobId": job_id, "fileName": name, "time": time.time() * 1000, "expanded": True}]
    page.evaluate("jobs => localStorage.setItem('docdeck.jobs', jobs)", json.dumps(jobs))
    page.reload()


# The main way -----------------------------------------------------------------------------------------------------


def test_the_sample_goes_in_by_the_file_chooser_and_its_cards_come_out(page: Page, service: Service) -> None:
    page.evaluate(WATCH)
    choose(page, SAMPLE)
    deck = row(page, SAMPLE.name)
    wait_for(deck, "completed")
    seen: list[tuple[str | None, str]] = page.evaluate("seen")
    bar = [float(value) for value, _ in seen if value is not None]
    assert bar == sorted(bar)
    assert (bar[0], bar[-1]) == (0, 100)
    notes = list(dict.fromkeys(note for _, note in seen))
    assert notes[:2] == ["Uploading", "Waiting in line"]

    cards = server_cards(service, saved_jobs(page)[0]["jobId"])
    assert len(cards) >= 40
    assert notes[-1] == f"{len(cards)} cards are ready."
    assert deck.locator(".word").all_inner_texts() == [card["word"] for card in cards]


def test_a_card_turns_by_click_enter_and_space_and_shows_meaning_and_example(
    page: Page, deck: Locator, cards: list[dict[str, Any]]
) -> None:
    number = next(number for number, card in enumerate(cards) if card["meaning"] and card["cloze"] != card["example"])
    card, front = deck.locator(".card").nth(number), deck.locator(".front").nth(number)
    for side in (".back-word", ".meaning", ".example"):
        expect(card.locator(side)).to_be_hidden()

    front.click()
    expect(card.locator(".meaning")).to_have_text(cards[number]["meaning"])
    expect(card.locator(".example")).to_have_text(cards[number]["example"])
    expect(card.locator("mark")).to_have_text(cards[number]["word"], ignore_case=True)
    expect(card.locator(".page")).to_have_text(f"page {cards[number]['example_page']}")
    expect(card.locator(".meaning")).to_be_visible()
    expect(front).to_have_attribute("aria-expanded", "true")

    card.locator(".back").click()
    expect(card.locator(".meaning")).to_be_hidden()
    for key in ("Enter", "Space"):
        front.focus()
        page.keyboard.press(key)
        expect(card.locator(".meaning")).to_be_visible()
        page.keyboard.press(key)
        expect(card.locator(".meaning")).to_be_hidden()


def test_a_card_without_a_meaning_says_so_and_still_has_its_sentence(
    page: Page, service: Service, tmp_path: Path
) -> None:
    document = tmp_path / "lamps.txt"
    document.write_text("A florbix glimmers at night, and the keeper of the lamps feeds his florbix well.\n\n" * 4)
    choose(page, document)
    deck = row(page, document.name)
    wait_for(deck, "completed")
    cards = server_cards(service, saved_jobs(page)[0]["jobId"])
    number = next(number for number, card in enumerate(cards) if card["word"] == "florbix")
    card = deck.locator(".card").nth(number)
    card.click()
    expect(card.locator(".no-meaning")).to_have_text("Not in the dictionary: learn it from its sentence.")
    expect(card.locator(".meaning")).to_have_count(0)
    expect(card.locator(".example")).to_have_text(cards[number]["example"])


def test_several_files_at_once_each_get_their_row_in_the_order_chosen(page: Page) -> None:
    choose(page, SAMPLE, SAMPLE_TEXT)
    names = [SAMPLE.name, SAMPLE_TEXT.name]
    expect(page.locator(".job-name")).to_have_text(names)
    for name in names:
        wait_for(row(page, name), "completed")
        expect(row(page, name).locator(".job-count")).to_have_text(re.compile(r"^[1-9]\d* cards$"))
    page.reload()
    expect(page.locator(".job-name")).to_have_text(names)


def test_files_can_be_dropped_beside_the_box_too(page: Page) -> None:
    transfer = page.evaluate_handle(
        """text => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], "dropped.txt", {type: "text/plain"}));
          return transfer;
        }""",
        SAMPLE_TEXT.read_text(),
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("h1", event, {"dataTransfer": transfer})
    wait_for(row(page, "dropped.txt"), "completed")


def test_bar_and_stage_show_what_a_worker_writes_and_an_unknown_stage_is_shown_as_it_is(
    page: Page, service: Service
) -> None:
    job_id = str(uuid.uuid4())
    with redis.Redis.from_url(service.env["UPSTASH_REDIS_URL"]) as db:

        def write(**fields: str | int) -> None:
            db.hset(f"job:{job_id}", mapping=dict(fields))

        write(status="processing", progress="37", stage="phrases", createdAt=int(time.time() * 1000))
        remember_job(page, job_id, "report.pdf")
        bar, note = page.get_by_role("progressbar", name="Progress of report.pdf"), page.locator(".note")
        expect(bar).to_have_js_property("value", 37)
        expect(page.locator(".percent")).to_have_text("37%")
        expect(note).to_have_text("Looking for phrases")
        write(progress="64", stage="polishing")
        expect(bar).to_have_js_property("value", 64)
        expect(note).to_have_text("polishing")
        write(status="completed", progress="100", result=json.dumps({"flashcards": [{"id": "1", "word": "aquifer"}]}))
        expect(page.locator(".word")).to_have_text("aquifer")
        expect(bar).to_be_hidden()


def test_what_was_left_out_of_a_document_is_told_beside_its_cards(page: Page, service: Service) -> None:
    job_id = str(uuid.uuid4())
    notes = ["10 of 100 pages could not be read; the cards are from the others.", "90 words were left out."]
    result = {"flashcards": [{"id": "1", "word": "aquifer"}], "stages": {"stage1": {"notes": notes}}}
    fields: dict[str, str | int] = {"status": "completed", "createdAt": int(time.time() * 1000)}
    with redis.Redis.from_url(service.env["UPSTASH_REDIS_URL"]) as db:
        db.hset(f"job:{job_id}", mapping={**fields, "result": json.dumps(result)})
    remember_job(page, job_id, "report.pdf")
    expect(page.locator(".note")).to_have_text(" ".join(notes))
    expect(page.locator(".note")).to_be_in_viewport()
    expect(page.locator(".word")).to_have_text("aquifer")


# When it goes wrong -----------------------------------------------------------------------------------------------


def test_a_failed_document_shows_the_servers_own_sentence(page: Page, service: Service, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nthis is no PDF\n")
    choose(page, broken)
    wait_for(row(page, "broken.pdf"), "failed")
    status = requests.get(f"{service.url}/api/job-status/{saved_jobs(page)[0]['jobId']}", timeout=10).json()
    assert status["status"] == "failed"
    assert status["error"].endswith(".")
    expect(row(page, "broken.pdf").locator(".note")).to_have_text(status["error"])
    page.reload()
    expect(row(page, "broken.pdf").locator(".note")).to_have_text(status["error"])


def test_an_upload_that_the_server_refuses_shows_its_sentence(page: Page, errors: list[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    choose(page, empty)
    expect(row(page, "empty.txt").locator(".note")).to_have_text("The file is empty.")
    assert len(errors) == 1  # the browser's own line on the 400
    assert "400" in errors.pop()


def test_a_file_over_50_mb_is_refused_before_any_request(page: Page, tmp_path: Path) -> None:
    huge = tmp_path / "huge.pdf"
    with huge.open("wb") as file:
        file.truncate(50 * 1024 * 1024 + 1)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    choose(page, huge)
    expect(row(page, "huge.pdf").locator(".note")).to_have_text("File too large (max 50MB)")
    assert [request.url for request in asked if "/api/" in request.url] == []


def test_polling_goes_on_when_the_server_can_be_reached_again(page: Page, errors: list[str]) -> None:
    choose(page, SAMPLE)
    wait_for(row(page, SAMPLE.name), "queued")
    page.context.set_offline(True)
    expect(page.locator("#away")).to_contain_text("The server cannot be reached.", timeout=10_000)
    page.context.set_offline(False)
    wait_for(row(page, SAMPLE.name), "completed")
    expect(page.locator("#away")).to_be_empty()
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in errors), errors
    errors.clear()


def test_an_upload_that_does_not_get_through_says_so(page: Page, errors: list[str]) -> None:
    page.context.set_offline(True)
    choose(page, SAMPLE)
    expect(row(page, SAMPLE.name).locator(".note")).to_contain_text("The upload did not get through.")
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in errors), errors
    errors.clear()


# The list ---------------------------------------------------------------------------------------------------------


def test_a_reload_keeps_the_list_and_the_cards(page: Page) -> None:
    choose(page, SAMPLE)
    wait_for(row(page, SAMPLE.name), "completed")
    words = row(page, SAMPLE.name).locator(".word").all_inner_texts()
    page.reload()
    expect(row(page, SAMPLE.name).locator(".word")).to_have_text(words)


def test_a_deck_can_be_collapsed_and_stays_so(page: Page, deck: Locator) -> None:
    page.get_by_role("button", name="Hide cards").click()
    expect(deck.locator(".deck")).to_be_hidden()
    page.reload()
    button = page.get_by_role("button", name="Show cards")
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(deck.locator(".deck")).to_be_hidden()
    button.click()
    expect(deck.locator(".card").first).to_be_visible()


def test_a_document_removed_from_the_list_stays_away(page: Page, deck: Locator) -> None:
    page.get_by_role("button", name=f"Remove {SAMPLE.name} from the list").click()
    expect(deck).to_have_count(0)
    page.reload()
    expect(page.locator("#steps")).to_be_visible()
    expect(page.locator(".job")).to_have_count(0)


def test_a_job_that_the_server_no_longer_has_is_shown_as_expired_and_can_be_removed(
    page: Page, errors: list[str]
) -> None:
    remember_job(page, str(uuid.uuid4()), "old report.pdf")
    expect(row(page, "old report.pdf").locator(".note")).to_contain_text("Expired")
    assert len(errors) == 1  # the browser's own line on the 404
    assert "404" in errors.pop()
    page.get_by_role("button", name="Remove old report.pdf from the list").click()
    page.reload()
    expect(page.locator("#steps")).to_be_visible()


def test_search_leaves_the_cards_whose_word_or_meaning_has_it(deck: Locator, cards: list[dict[str, Any]]) -> None:
    fitting = [card["word"] for card in cards if "water" in f"{card['word']} {card['meaning'] or ''}".lower()]
    assert 0 < len(fitting) < len(cards)
    search, left = deck.get_by_role("searchbox", name="Search words and meanings"), deck.locator(".card:visible .word")
    search.fill("WATER ")
    expect(left).to_have_text(fitting)
    expect(deck.locator(".found")).to_have_text(f"{len(fitting)} of {len(cards)} cards")
    search.fill("no such word")
    expect(left).to_have_count(0)
    expect(deck.locator(".nothing")).to_be_visible()
    search.fill("")
    expect(left).to_have_count(len(cards))


# Languages and looks ----------------------------------------------------------------------------------------------


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


def test_a_switch_of_the_language_changes_rows_and_cards_and_leaves_turned_cards_turned(
    page: Page, deck: Locator, cards: list[dict[str, Any]]
) -> None:
    deck.locator(".card").first.click()
    deck.get_by_role("searchbox").fill("a")
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(deck.locator(".job-count")).to_have_text(f"{len(cards)} thẻ")
    expect(deck.locator(".toggle")).to_have_text("Ẩn thẻ")
    expect(deck.get_by_role("searchbox", name="Tìm theo từ hoặc nghĩa")).to_have_value("a")
    expect(deck.locator(".page").first).to_have_text(f"trang {cards[0]['example_page']}")
    expect(deck.locator(".card.turned")).to_have_count(1)
    assert set(deck.locator(".kind span:first-child").all_text_contents()) == {"từ", "cụm từ"}


def test_every_text_exists_in_both_languages(page: Page) -> None:
    keys = page.evaluate(
        """async () => {
          const messages = await import("/static/messages.js");
          const name = (value) => typeof value === "object" ? Object.keys(value) : typeof value;
          const shape = (texts) => Object.entries(texts).map(([key, value]) => [key, name(value)]);
          return Object.values(messages.texts).map(shape);
        }"""
    )
    assert keys[0] == keys[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    open_page: Callable[..., Page], sample_job: str, scheme: str
) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    with_a_deck(page, sample_job).locator(".card").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_is_light_and_loads_nothing_from_elsewhere(open_page: Callable[..., Page], service: Service) -> None:
    files = [file for file in (ROOT / "web").iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 150_000
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload(wait_until="networkidle")
    assert asked
    assert [url for url in asked if not url.startswith(service.url)] == []


@pytest.mark.skipif(not os.environ.get("DOCDECK_SCREENSHOTS"), reason="set DOCDECK_SCREENSHOTS to renew docs/page.png")
def test_the_picture_of_the_readme(open_page: Callable[..., Page], sample_job: str) -> None:
    page = open_page(viewport={"width": 1120, "height": 860})
    deck = with_a_deck(page, sample_job)
    for number in (1, 5):
        deck.locator(".card").nth(number).click()
    page.mouse.move(0, 0)
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    (ROOT / "docs").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / "docs" / "page.png")


def test_a_big_file_goes_straight_to_the_bucket_and_a_second_time_nowhere(page: Page, tmp_path: Path) -> None:
    big = tmp_path / "big.txt"
    big.write_text(SAMPLE_TEXT.read_text() + " " * 5_000_000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url.partition('?')[0]}"))
    for _ in range(2):
        choose(page, big)
        wait_for(row(page, "big.txt").first, "completed")
    assert len([line for line in sent if line.startswith("PUT ")]) == 1
    assert len([line for line in sent if line.endswith("/complete")]) == 1
    assert len([line for line in sent if line.endswith("/api/uploads")]) == 2
    assert not [line for line in sent if "upload-document-async" in line]
