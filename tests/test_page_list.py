"""The list of documents in a real browser: over reloads, devices, logins; cancelled, run again, taken off, deleted.

The jobs of the second half are driven by hand: an API without a worker, and the queue in the test.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from queue_lib import Queue
from records import Records
from tests.page_tools import SAMPLE, choose, remember_job, row, saved_jobs, serving, wait_for
from tests.queue_tools import make_queue, take
from tests.support import Service, wait_until
from tests.test_auth import token

CARD = {"id": "1", "word": "aquifer", "meaning": "water in the ground"}
RESULT = {"document_title": SAMPLE.name, "flashcards": [CARD]}
SECRET = "s" * 40


# Over reloads -----------------------------------------------------------------------------------------------------


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


def test_a_document_taken_off_the_list_stays_away_and_the_server_keeps_it(
    page: Page, deck: Locator, service: Service, sample_job: str
) -> None:
    page.evaluate("localStorage.setItem('docdeck.userId', 'ann')")  # whose the sample is
    page.reload()
    page.get_by_role("button", name=f"Remove {SAMPLE.name}").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Remove from this list")).to_be_hidden()
    page.get_by_role("button", name=f"Remove {SAMPLE.name}").click()
    page.get_by_role("button", name="Remove from this list").click()
    expect(deck).to_have_count(0)
    with page.expect_response("**/api/jobs?*") as listed:
        page.reload()
    assert sample_job in [job["jobId"] for job in listed.value.json()["jobs"]]
    page.wait_for_load_state("networkidle")
    expect(row(page, SAMPLE.name)).to_have_count(0)


def test_a_job_that_the_server_no_longer_has_is_shown_as_expired_and_can_be_removed(
    page: Page, errors: list[str]
) -> None:
    remember_job(page, str(uuid.uuid4()), "old report.pdf")
    expect(row(page, "old report.pdf").locator(".note")).to_contain_text("Expired")
    assert len(errors) == 1  # the browser's own line on the 404
    assert "404" in errors.pop()
    page.get_by_role("button", name="Remove old report.pdf").click()
    page.get_by_role("button", name="Remove from this list").click()
    page.reload()
    expect(page.locator("#steps")).to_be_visible()


# By hand ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(records: Records, redis_url: str, free_port: int) -> Iterator[str]:
    """Of an API without a worker."""
    with serving(free_port) as address:
        yield address


@pytest.fixture
def queue(redis_url: str) -> Queue:
    """The queue of that API, so that a test can do what a worker does."""
    return make_queue(redis_url, lease=60)


@pytest.fixture
def waiting(address: str, open_page: Callable[..., Page]) -> Page:  # the page goes before its server does
    """A page that has uploaded the sample, which waits in line."""
    page = open_page(base_url=address)
    choose(page, SAMPLE)
    wait_for(row(page, SAMPLE.name), "queued")
    return page


def finish(queue: Queue, records: Records) -> None:
    """What a worker does at the end."""
    job = take(queue)
    records.save_result(job.id, job.user, RESULT)
    assert queue.finish(job, json.dumps(RESULT))


def test_a_waiting_job_is_cancelled_and_says_so(waiting: Page, errors: list[str]) -> None:
    waiting.get_by_role("button", name="Cancel").click()
    wait_for(row(waiting, SAMPLE.name), "cancelled")
    expect(waiting.locator(".note")).to_have_text("Cancelled.")
    waiting.get_by_role("button", name="Try again").click()
    expect(waiting.locator(".note")).to_have_text("The server no longer has the file. Please choose it again.")
    assert "410" in errors.pop()  # the browser's own line


def test_a_running_job_is_cancelling_until_its_worker_has_let_it_go(waiting: Page, queue: Queue) -> None:
    job = take(queue)
    wait_for(row(waiting, SAMPLE.name), "processing")
    waiting.get_by_role("button", name="Cancel").click()
    expect(waiting.locator(".note")).to_have_text("Cancelling")
    expect(waiting.get_by_role("button", name="Cancel")).to_be_hidden()
    wait_until(lambda: queue.look_after(job, 50, "phrases") == "cancel", 10, "the wish")
    assert queue.bury(job, "Cancelled")
    wait_for(row(waiting, SAMPLE.name), "cancelled")


def test_a_failed_job_runs_again_with_the_file_that_the_server_has(
    waiting: Page, queue: Queue, records: Records
) -> None:
    job = take(queue)
    assert queue.bury(job, "The worker died while processing it.")
    records.fail_job(job.id, job.user, "The worker died while processing it.")
    wait_for(row(waiting, SAMPLE.name), "failed")
    expect(waiting.locator(".note")).to_have_text("The worker died while processing it.")
    waiting.get_by_role("button", name="Try again").click()
    wait_for(row(waiting, SAMPLE.name), "queued")
    finish(queue, records)
    wait_for(row(waiting, SAMPLE.name), "completed")
    expect(waiting.locator(".word")).to_have_text("aquifer")


def test_a_deleted_document_is_gone_from_the_server_too_after_a_question(
    waiting: Page, queue: Queue, records: Records
) -> None:
    finish(queue, records)
    wait_for(row(waiting, SAMPLE.name), "completed")
    job_id = saved_jobs(waiting)[0]["jobId"]
    waiting.get_by_role("button", name=f"Remove {SAMPLE.name}").click()
    expect(waiting.get_by_role("group", name="Take “how-a-city-drinks.pdf” off this list")).to_be_visible()
    waiting.get_by_role("button", name="Delete for good").click()
    expect(waiting.locator("#steps")).to_be_visible()
    expect(waiting.locator("#toast")).to_contain_text("are deleted.")
    assert records.record(job_id) is None


def test_a_server_that_goes_away_and_comes_back_is_said_and_nothing_is_lost(
    open_page: Callable[..., Page], records: Records, queue: Queue, free_port: int, errors: list[str]
) -> None:
    with serving(free_port) as address:
        page = open_page(base_url=address)
        choose(page, SAMPLE)
        wait_for(row(page, SAMPLE.name), "queued")
    expect(page.locator("#away")).to_contain_text("The server cannot be reached.", timeout=10_000)
    finish(queue, records)
    with serving(free_port):
        wait_for(row(page, SAMPLE.name), "completed")
        expect(page.locator("#away")).to_be_empty()
        page.close()
    assert all("ERR_CONNECTION_REFUSED" in error or "ERR_EMPTY" in error for error in errors), errors
    errors.clear()


# Over devices -----------------------------------------------------------------------------------------------------


def test_a_second_device_that_confirms_the_link_has_the_same_documents(
    address: str, waiting: Page, queue: Queue, records: Records, open_page: Callable[..., Page]
) -> None:
    finish(queue, records)
    waiting.get_by_text("Use on another device").click()
    link = waiting.get_by_label("Link for your other device").input_value()

    other = open_page(base_url=address, path=link)
    assert other.url == f"{address}/"  # nobody reads it over a shoulder
    expect(other.locator(".job")).to_have_count(0)
    other.get_by_role("button", name="Use them here").click()
    expect(row(other, SAMPLE.name)).to_be_visible()
    expect(other.locator(".card")).to_have_count(0)
    other.get_by_role("button", name="Show cards").click()
    expect(other.locator(".word")).to_have_text("aquifer")
    other.reload()
    expect(other.locator(".word")).to_have_text("aquifer")

    third = open_page(base_url=address)
    before = third.evaluate("localStorage.getItem('docdeck.userId')")
    third.goto(link)  # while the page is open: only the part behind the # changes
    third.get_by_role("button", name="No, thanks").click()
    third.reload()
    expect(third.locator(".job")).to_have_count(0)
    assert third.evaluate("localStorage.getItem('docdeck.userId')") == before


def test_a_long_list_comes_in_parts(address: str, open_page: Callable[..., Page], records: Records) -> None:
    user = "0" * 32
    for number in range(60):
        payload = {"jobId": f"job-{number}", "userId": user, "fileUrl": "http://a.test", "fileName": f"{number}.pdf"}
        records.create_job(payload, {}, 1)
        records.save_result(f"job-{number}", user, RESULT)
    page = open_page(base_url=address, script=f"localStorage.setItem('docdeck.userId', '{user}')")
    expect(page.locator(".job")).to_have_count(50)
    page.get_by_role("button", name="Show older documents").click()
    expect(page.locator(".job")).to_have_count(60)
    expect(page.get_by_role("button", name="Show older documents")).to_be_hidden()


# Logged in --------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed(records: Records, redis_url: str, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an API that lets nobody in without a token."""
    monkeypatch.setenv("AUTH_SECRET", SECRET)
    with serving(free_port) as address:
        yield address


def test_a_token_from_a_host_page_opens_everything_and_leaves_the_address_bar(
    closed: str, open_page: Callable[..., Page], queue: Queue, records: Records
) -> None:
    page = open_page(base_url=closed, path=f"/#token={token(secret=SECRET)}")
    assert page.url == f"{closed}/"
    choose(page, SAMPLE)
    wait_for(row(page, SAMPLE.name), "queued")
    assert records.owner(page.evaluate("JSON.parse(localStorage['docdeck.jobs.ann'])[0].jobId")) == "ann"
    finish(queue, records)
    expect(page.locator(".word")).to_have_text("aquifer")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "how-a-city-drinks.csv"
    assert b"aquifer" in download.value.path().read_bytes()
    expect(page.get_by_text("Use on another device")).to_be_hidden()
    expect(page.get_by_text("Logged in as ann.")).to_be_visible()

    page.evaluate("told => localStorage.setItem('docdeck.token', told)", token("bob", SECRET))
    page.reload()
    expect(page.locator("#steps")).to_be_visible()  # another user, another list


def test_who_is_not_logged_in_any_more_is_told_to_log_in_where_he_came_from(
    closed: str, open_page: Callable[..., Page], errors: list[str]
) -> None:
    told = token(secret=SECRET, exp=int(time.time()) - 3600)
    page = open_page(base_url=closed, script=f"localStorage.setItem('docdeck.token', '{told}')")
    expect(page.locator("#away")).to_contain_text("Go back to the page you came from, log in there")
    choose(page, SAMPLE)
    expect(page.locator(".note")).to_contain_text("Go back to the page you came from, log in there")
    assert errors
    assert all("401" in error for error in errors)
    errors.clear()
