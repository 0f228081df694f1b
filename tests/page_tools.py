"""What the tests of the page share: Debian's chromium, a page in front of the whole service, one finished document.

Every test has a browser context of its own, and fails when the page writes an error to the console: a refused script
or style, as the Content-Security-Policy would have it, among them.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from werkzeug.serving import make_server

from tests.support import ROOT, Service, need, running_api, wait_until

SAMPLE = ROOT / "samples" / "how-a-city-drinks.pdf"
SAMPLE_TEXT = SAMPLE.with_suffix(".txt")
PATIENCE = 60_000  # ms, for a document on its way
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1120, "height": 860}
# Voices are the operating system's, and a test machine has none.
VOICES = """
  const voices = [{lang: "vi-VN", name: "Linh"}, {lang: "en_US", name: "Ava"}, {lang: "en-GB", name: "Kate"}];
  globalThis.spoken = [];
  Object.defineProperty(globalThis, "speechSynthesis", {value: Object.assign(new EventTarget(), {
    getVoices: () => voices, cancel() {}, speak: ({text, voice}) => spoken.push([text, voice.name]),
  })});
  globalThis.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
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
def open_page(browser: Browser, errors: list[str], request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens the page in a new context, made with the arguments that Browser.new_context takes; `script` runs first."""
    contexts: list[BrowserContext] = []

    def open_it(locale: str = "en-US", script: str = "", path: str = "/", **settings: Any) -> Page:
        settings["base_url"] = settings.get("base_url") or request.getfixturevalue("service").url
        contexts.append(browser.new_context(locale=locale, **settings))
        if script:
            contexts[-1].add_init_script(script)
        page = contexts[-1].new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The page as somebody sees it who comes for the first time."""
    return open_page()


@pytest.fixture(scope="module")
def sample_job(service: Service) -> str:
    """The jobId of the sample, done."""
    return done_job(service, SAMPLE, "ann")


@pytest.fixture(scope="module")
def cards(service: Service, sample_job: str) -> list[dict[str, Any]]:
    """The sample's cards as the server has them."""
    return server_cards(service, sample_job)


@pytest.fixture
def deck(page: Page, sample_job: str) -> Locator:
    """The sample's row with its cards, in a page that has nothing else."""
    return with_a_deck(page, sample_job)


def done_job(service: Service, document: Path, user: str) -> str:
    """The jobId of a document that has been processed."""
    with document.open("rb") as file:
        answer = requests.post(
            f"{service.url}/api/upload-document-async", data={"userId": user}, files={"file": file}, timeout=30
        )
    job_id = str(answer.json()["jobId"])
    wait_until(lambda: server_cards(service, job_id), PATIENCE / 1000, "the document's cards")
    return job_id


def server_cards(service: Service, job_id: str) -> list[dict[str, Any]]:
    """The cards of a job as the server has them; none while there are none."""
    status = requests.get(f"{service.url}/api/job-status/{job_id}", timeout=10).json()
    cards: list[dict[str, Any]] = json.loads(status["result"])["flashcards"] if "result" in status else []
    return cards


def by_topic(cards: list[dict[str, Any]]) -> list[tuple[str | None, list[str]]]:
    """The words as the page has to show them: topic by topic, at the end those that are alone in theirs."""
    topics: dict[int, list[dict[str, Any]]] = {}
    for card in sorted(cards, key=lambda card: (card["cluster_id"], card["cluster_rank"])):
        topics.setdefault(card["cluster_id"], []).append(card)
    alone = [members[0]["word"] for members in topics.values() if len(members) == 1]
    named = [(m[0]["cluster_name"], [card["word"] for card in m]) for m in topics.values() if len(m) > 1]
    return [*named, (None, alone)] if alone else named


def card_of(deck: Locator, word: str) -> Locator:
    """The card of a word."""
    return deck.locator(".card").filter(has=deck.page.locator(".word").get_by_text(word, exact=True))


def choose(page: Page, *files: Path) -> None:
    """Files through the browser's own file chooser, as a click on the button opens it."""
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose files", exact=True).click()
    chooser.value.set_files(files)


def row(page: Page, name: str) -> Locator:
    """A document's row."""
    return page.locator(".job").filter(has=page.get_by_role("heading", name=name, exact=True))


def wait_for(row: Locator, state: str) -> None:
    """Until a document is so far. The page asks at once, as it does for somebody who comes back to it."""
    row.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(row).to_have_attribute("data-state", state, timeout=PATIENCE)


def saved_jobs(page: Page) -> list[dict[str, Any]]:
    """The list as the browser keeps it."""
    jobs: list[dict[str, Any]] = json.loads(page.evaluate("localStorage.getItem('docdeck.jobs')"))
    return jobs


def with_a_deck(page: Page, sample_job: str) -> Locator:
    """The sample's row, open, in a page that has nothing else."""
    remember_job(page, sample_job, SAMPLE.name)
    wait_for(row(page, SAMPLE.name), "completed")
    return row(page, SAMPLE.name)


def remember_job(page: Page, job_id: str, name: str) -> None:
    """As if this browser had uploaded the document of that job earlier."""
    jobs = [{"jobId": job_id, "fileName": name, "time": time.time() * 1000, "expanded": True}]
    page.evaluate("jobs => localStorage.setItem('docdeck.jobs', jobs)", json.dumps(jobs))
    page.reload()


def write_job(service: Service, job_id: str, **fields: str | int) -> None:
    """What a worker would have written of a job."""
    with redis.Redis.from_url(service.env["UPSTASH_REDIS_URL"]) as db:
        db.hset(f"job:{job_id}", mapping={"createdAt": int(time.time() * 1000), **fields})


@contextlib.contextmanager
def serving(port: int) -> Iterator[str]:
    """The API of this environment, served by a thread, without a worker; its address."""
    with running_api() as app:
        server = make_server("127.0.0.1", port, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
