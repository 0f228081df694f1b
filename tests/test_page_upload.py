"""Documents on their way in, in a real browser: chosen, dropped, refused, sent over a slow line, processed, failed."""

import json
import re
import uuid
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, Request, expect

from tests.page_tools import (
    SAMPLE,
    SAMPLE_TEXT,
    choose,
    remember_job,
    row,
    saved_jobs,
    server_cards,
    wait_for,
    write_job,
)
from tests.support import Service

# Everything that the first row's bar and note have ever shown, also between two looks of a test.
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const row = document.querySelector(".job");
    const [bar, note, left] = ["progress", ".note", ".left"].map((part) => row?.querySelector(part));
    if (row) seen.push([bar.getAttribute("value"), note.textContent, left.textContent]);
  }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
}"""


def slow_line(page: Page, bytes_a_second: int) -> None:
    """From now on the page uploads no faster; 0: as fast as it can."""
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second or -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", limits)


def write_big(path: Path, size: int) -> Path:
    """A document of so many bytes, most of them blank."""
    path.write_text(SAMPLE_TEXT.read_text() + f"{uuid.uuid4()}" + " " * size)
    return path


# The main way -----------------------------------------------------------------------------------------------------


def test_the_sample_goes_in_by_the_file_chooser_and_its_cards_come_out(page: Page, service: Service) -> None:
    page.evaluate(WATCH)
    choose(page, SAMPLE)
    deck = row(page, SAMPLE.name)
    wait_for(deck, "completed")
    seen: list[tuple[str | None, str, str]] = page.evaluate("seen")
    notes = list(dict.fromkeys(note for _, note, _ in seen))
    assert notes[:3] == ["Waiting to upload", "Uploading", "Waiting in line"]
    work = [float(value) for value, note, _ in seen if value is not None and note not in notes[:2]]
    upload = [float(value) for value, note, _ in seen if value is not None and note == "Uploading"]
    for bar in (upload, work):
        assert bar == sorted(bar)
    assert (work[0], work[-1]) == (0, 100)

    cards = server_cards(service, saved_jobs(page)[0]["jobId"])
    assert len(cards) >= 40
    assert notes[-1] == f"{len(cards)} cards are ready."
    expect(deck.locator(".job-count")).to_have_text(f"{len(cards)} cards")
    assert sorted(deck.locator(".word").all_inner_texts()) == sorted(card["word"] for card in cards)


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
    write_job(service, job_id, status="processing", progress="37", stage="phrases")
    remember_job(page, job_id, "report.pdf")
    bar, note = page.get_by_role("progressbar", name="Progress of report.pdf"), page.locator(".note")
    expect(bar).to_have_js_property("value", 37)
    expect(page.locator(".percent")).to_have_text("37%")
    expect(note).to_have_text("Looking for phrases")
    write_job(service, job_id, progress="64", stage="polishing")
    expect(bar).to_have_js_property("value", 64)
    expect(note).to_have_text("polishing")
    result = json.dumps({"flashcards": [{"id": "1", "word": "aquifer"}]})
    write_job(service, job_id, status="completed", progress="100", result=result)
    expect(page.locator(".word")).to_have_text("aquifer")
    expect(bar).to_be_hidden()


def test_what_was_left_out_of_a_document_is_told_beside_its_cards(page: Page, service: Service) -> None:
    job_id = str(uuid.uuid4())
    notes = ["10 of 100 pages could not be read; the cards are from the others.", "90 words were left out."]
    result = {"flashcards": [{"id": "1", "word": "aquifer"}], "stages": {"stage1": {"notes": notes}}}
    write_job(service, job_id, status="completed", result=json.dumps(result))
    remember_job(page, job_id, "report.pdf")
    expect(page.locator(".note")).to_have_text(" ".join(notes))
    expect(page.locator(".note")).to_be_in_viewport()
    expect(page.locator(".word")).to_have_text("aquifer")


def test_the_time_left_is_told_when_there_is_a_basis_and_grows_while_nothing_moves(page: Page) -> None:
    told = page.evaluate(
        """async () => {
          const { Estimate, inWords } = await import("/static/estimate.js");
          const estimate = new Estimate();
          const told = [estimate.left(0)];
          const add = (share, now) => { estimate.add(share, now); told.push(estimate.left(now)); };
          add(0.1, 10_000); add(0.5, 12_000); add(0.5, 14_000); add(0.5, 30_000); add(0.2, 40_000); add(0.21, 50_000);
          return [told, [4, 31, 59, 61, 4000].map(inWords)];
        }"""
    )
    assert told[0] == [None, None, None, 5, 25, None, None]
    assert told[1] == [
        ["leftSoon"],
        ["leftSeconds", {"count": 40}],
        ["leftMinutes", {"count": 1}],
        ["leftMinutes", {"count": 2}],
        ["leftMinutes", {"count": 67}],
    ]


# A slow line ------------------------------------------------------------------------------------------------------


def test_a_slow_upload_shows_its_bar_and_the_time_left_can_be_cancelled_and_sent_again(
    page: Page, errors: list[str], tmp_path: Path
) -> None:
    document = write_big(tmp_path / "slow.txt", 2_000_000)
    slow_line(page, 300_000)
    choose(page, document)
    slow = row(page, document.name)
    wait_for(slow, "uploading")
    expect(slow.locator(".percent")).to_have_text(re.compile(r"^[1-9]\d?%$"))
    expect(slow.locator(".left")).to_have_text(re.compile("^(about .* seconds|a few seconds) left$"), timeout=10_000)
    slow.get_by_role("button", name="Cancel").click()
    wait_for(slow, "cancelled")
    expect(slow.locator(".note")).to_have_text("Cancelled.")
    expect(slow.get_by_role("button", name="Try again")).to_be_focused()
    assert page.evaluate("localStorage.getItem('docdeck.jobs')") is None
    slow_line(page, 0)
    slow.get_by_role("button", name="Try again").click()
    wait_for(slow, "completed")


def test_a_big_file_goes_straight_to_the_bucket_with_a_bar_and_a_second_time_nowhere(
    page: Page, tmp_path: Path
) -> None:
    big = write_big(tmp_path / "big.txt", 5_000_000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url.partition('?')[0]}"))
    slow_line(page, 4_000_000)
    page.evaluate(WATCH)
    for _ in range(2):
        choose(page, big)
        wait_for(row(page, "big.txt").first, "completed")
    assert any(0 < float(value) < 100 for value, note, _ in page.evaluate("seen") if value and note == "Uploading")
    assert len([line for line in sent if line.startswith("PUT ")]) == 1
    assert len([line for line in sent if line.endswith("/complete")]) == 1
    assert len([line for line in sent if line.endswith("/api/uploads")]) == 2
    assert not [line for line in sent if "upload-document-async" in line]
    expect(row(page, "big.txt")).to_have_count(1)  # the same job is one row


# When it goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.txt", b"", "This file is empty. Choose another one."),
        ("essay.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "Old Word files (.doc) cannot be read."),
        ("sheet.xlsx", b"PK\x03\x04" + bytes(100), "Files of this kind cannot be read. Choose a PDF,"),
        ("song.dat", bytes(range(256)) * 20, "Files of this kind cannot be read. Choose a PDF,"),
        ("huge.pdf", None, "This file is larger than 50 MB. Split it,"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_any_request_with_what_to_do(
    page: Page, tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(50 * 1024 * 1024 + 1) if content is None else file.write(content)
    page.wait_for_load_state("networkidle")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    choose(page, tmp_path / name)
    expect(row(page, name).locator(".note")).to_contain_text(sentence)
    with page.expect_file_chooser():
        row(page, name).get_by_role("button", name="Choose the file again").click()
    assert asked == []
    row(page, name).get_by_role("button", name=f"Remove {name}").click()
    expect(page.locator("#steps")).to_be_visible()


def test_what_is_read_is_let_through_whatever_it_is_called(page: Page) -> None:
    problems = page.evaluate(
        r"""async () => {
          const { problemOf } = await import("/static/check.js");
          const files = {"a.pdf": "%PDF-1.7", scan: "\x89PNG\r\n\x1a\n\0", "b.docx": "PK\x03\x04\0", "c.log": "water"};
          const bytes = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));
          return Promise.all(Object.entries(files).map(([name, text]) => problemOf(new File([bytes(text)], name))));
        }"""
    )
    assert problems == [None] * 4


def test_a_failed_document_shows_the_servers_own_sentence_and_asks_for_the_file_if_it_is_to_be_tried_again(
    page: Page, service: Service, errors: list[str], tmp_path: Path
) -> None:
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
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".note")).to_have_text("The server no longer has the file. Please choose it again.")
    with page.expect_file_chooser():
        page.get_by_role("button", name="Choose the file again").click()
    assert len(errors) == 1  # the browser's own line on the 410 or 409
    assert re.search("409|410", errors.pop())


def test_an_upload_that_the_server_refuses_shows_its_sentence(page: Page, errors: list[str], tmp_path: Path) -> None:
    page.evaluate("localStorage.setItem('docdeck.userId', '.')")  # which is no user
    page.reload()
    choose(page, SAMPLE)
    expect(row(page, SAMPLE.name).locator(".note")).to_contain_text("The userId must be")
    assert {"400" in error for error in errors} == {True}
    errors.clear()


def test_polling_goes_on_when_the_line_is_there_again(page: Page, service: Service, errors: list[str]) -> None:
    job_id = str(uuid.uuid4())
    write_job(service, job_id, status="processing", progress="37", stage="phrases")
    remember_job(page, job_id, "report.pdf")
    wait_for(row(page, "report.pdf"), "processing")
    page.context.set_offline(True)
    expect(page.locator("#away")).to_contain_text("The server cannot be reached.", timeout=10_000)
    write_job(service, job_id, status="completed", result=json.dumps({"flashcards": [{"id": "1", "word": "aquifer"}]}))
    page.context.set_offline(False)
    wait_for(row(page, "report.pdf"), "completed")
    expect(page.locator("#away")).to_be_empty()
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in errors), errors
    errors.clear()


def test_an_upload_that_does_not_get_through_says_so_and_is_sent_again(page: Page, errors: list[str]) -> None:
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    choose(page, SAMPLE)
    expect(row(page, SAMPLE.name).locator(".note")).to_contain_text("The upload did not get through.")
    page.context.set_offline(False)
    row(page, SAMPLE.name).get_by_role("button", name="Try again").click()
    wait_for(row(page, SAMPLE.name), "completed")
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in errors), errors
    errors.clear()
