"""The dashboard in a real browser, on a real API, real workers and real servers.

Every test fails when the page writes an error to the console. DOCDECK_SCREENSHOTS=1 renews docs/admin.png.
"""

import contextlib
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from queue_lib import NORMAL, Queue
from records import Records
from servers import leashed, procfile
from storage import Storage
from tests.queue_tools import take
from tests.support import ROOT, find_free_port, wait_until
from tests.worker_tools import LEASE, SAMPLE, Start, ended, submit, worker_log, worker_process

TOKEN = "canary-admin-token"
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


@pytest.fixture
def api(records: Records, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The API as the Procfile starts it, with an operator; its address."""
    port = find_free_port()
    env = {**os.environ, "PORT": str(port), "WEB_CONCURRENCY": "1", "ADMIN_TOKEN": TOKEN}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    with (tmp_path / "api.log").open("w") as out:
        process = subprocess.Popen(
            leashed(["/bin/sh", "-c", procfile()["web"]]), cwd=ROOT, env=env, stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/healthz", timeout=5).ok
        return False

    try:
        wait_until(answers, 30, "the API")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def page(browser: Browser, api: str) -> Iterator[Page]:
    """The dashboard, after its form of login; each question of it is answered with yes."""
    context = browser.new_context(base_url=api, viewport={"width": 1280, "height": 900}, locale="en-US")
    page, errors = context.new_page(), list[str]()
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/admin")
    page.get_by_label("ADMIN_TOKEN").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("That is not the ADMIN_TOKEN.")).to_be_visible()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_label("ADMIN_TOKEN").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#state")).to_have_text("Running")
    yield page
    context.close()
    assert errors == []


def row(page: Page, table: str, text: str) -> Locator:
    return page.locator(f"{table} tbody tr").filter(has_text=text)


def place(page: Page, name: str) -> None:
    page.locator("#places").get_by_role("button", name=name, exact=True).click()


def is_dead(queue: Queue, job_ids: list[str]) -> bool:
    return queue.whereabouts(job_ids) == ["dead"] * len(job_ids)


def test_a_poisoned_document_is_found_by_its_cause_its_traceback_read_and_its_group_requeued_and_seen_to_succeed(
    page: Page, start_worker: Start, queue: Queue, records: Records, tmp_path: Path
) -> None:
    poisoned = [submit(queue, records, SAMPLE, "raises") for _ in range(2)]
    other = submit(queue, records, b"\0\1\2" * 99, "no document.pdf")
    worker = start_worker()  # it meets a bug in every document called "raises"
    wait_until(lambda: is_dead(queue, [*poisoned, other]), 90, "their ends")
    page.reload()
    group = row(page, "#groups", "ZeroDivisionError in tests/bad_documents.py, raises")
    expect(group.locator("td").nth(1)).to_have_text("6")
    group.get_by_role("button", name="Show").click()
    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    page.locator("#jobs tbody tr").first.get_by_role("link").click()
    expect(page.locator("#cause")).to_contain_text("Traceback (most recent call last)")
    expect(page.locator("#cause")).to_contain_text("ZeroDivisionError: a bug of ours")
    expect(page.get_by_role("cell", name="failed", exact=True)).to_have_count(3)
    page.get_by_role("link", name="← all jobs").click()
    worker.terminate()
    worker.wait(20)
    mended = subprocess.Popen([sys.executable, "worker.py"], cwd=ROOT, env=os.environ.copy(), stdout=subprocess.DEVNULL)
    try:
        group.get_by_role("button", name="Requeue 2").click()
        expect(group.locator("td").nth(2)).to_have_text("0")
        for job_id in poisoned:
            assert ended(queue, job_id)["status"] == "completed"
        place(page, "done")
        expect(page.locator("#jobs tbody tr")).to_have_count(2)
        place(page, "dead")
        expect(page.locator("#jobs tbody tr")).to_have_count(1)
        expect(row(page, "#workers", f"-{mended.pid}")).to_have_count(1, timeout=15_000)
    finally:
        mended.kill()
        mended.wait()


@pytest.fixture
def two_workers(start_worker: Start, tmp_path: Path) -> Iterator[None]:
    """Workers that share nothing but the servers: each has a data folder of its own."""
    start_worker()
    (tmp_path / "other").mkdir()
    other = worker_process(tmp_path / "other")
    wait_until(lambda: "worker started" in worker_log(tmp_path / "other"), 20, "the other worker's start")
    yield
    other.kill()
    other.wait()


def test_the_queue_is_paused_and_resumed_for_workers_on_two_data_folders_and_a_waiting_job_cancelled(
    page: Page, two_workers: None, queue: Queue, records: Records
) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("Paused")
    job_id, unwanted = submit(queue, records, SAMPLE), submit(queue, records, SAMPLE, "unwanted.txt")
    time.sleep(2 * LEASE)  # two rounds of the workers' loops, in which nothing may start: there is no event to wait for
    assert queue.whereabouts([job_id, unwanted]) == [NORMAL, NORMAL]
    place(page, "waiting")
    row(page, "#jobs", "unwanted.txt").get_by_role("button", name="Cancel").click()
    expect(page.locator("#jobs tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("Running")
    assert ended(queue, job_id)["status"] == "completed"
    assert queue.whereabouts([unwanted]) == ["dead"]
    page.locator("#users").get_by_role("button", name="ann").click()
    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    expect(row(page, "#jobs", "Cancelled")).to_have_count(1)


def test_a16_what_strangers_write_is_shown_as_text(page: Page, queue: Queue, db: "redis.Redis") -> None:
    payload = {"jobId": "x/../y?<b>", "userId": HOSTILE, "fileUrl": HOSTILE, "fileName": HOSTILE}
    queue.enqueue(payload, {"note": HOSTILE})
    queue.bury(take(queue), HOSTILE)
    db.lpush(NORMAL, HOSTILE)
    wait_until(lambda: queue.take() is None and is_dead(queue, ["x/../y?<b>"]), 5, "both ends")
    page.reload()
    place(page, "dead")
    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    expect(row(page, "#groups", HOSTILE)).to_have_count(1)
    row(page, "#jobs", HOSTILE).get_by_role("link").click()
    expect(page.locator("#job h2").first).to_have_text(HOSTILE)
    page.get_by_role("link", name="← all jobs").click()
    row(page, "#jobs", "names no job").get_by_role("link").click()
    expect(page.locator("#job pre").last).to_have_text(HOSTILE)
    page.get_by_role("link", name="← all jobs").click()
    page.locator("#users").get_by_role("button", name=HOSTILE).click()
    expect(page.locator("#filters input[name=user]")).to_have_value(HOSTILE)
    expect(page).to_have_title("Docdeck: operators")
    assert page.locator("img").count() == 0


def test_a_phone_shows_the_dashboard_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_after_logging_out_nothing_is_shown_any_more(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert page.context.cookies() == []


# The picture ------------------------------------------------------------------------------------------------------


def a_days_figures(db: "redis.Redis") -> None:
    """The counters of a day with a morning and an evening, in the scripts' own buckets."""
    hour = int(time.time()) // 3600
    stages = {"ingestion": 1600, "phrases": 900, "scoring": 400, "flashcards": 2600, "saving": 60, "downloading": 150}
    for back in range(25):
        busy = 40 + int(35 * math.sin((hour - back) / 24 * 2 * math.pi))
        counted: dict[Any, Any] = {"ended:completed": 9 * busy, "ended:refused": busy // 3, "commands": 60 * busy}
        counted |= {"ended:given_up": busy // 8, "queued": 10 * busy, "started": 10 * busy}
        for name, ms in {"wait": 400 + 90 * busy, **{f"stage:{name}": ms for name, ms in stages.items()}}.items():
            middle = max(0, round(math.log2(ms / 10)) - 1)
            for bucket, share in ((middle, 30), (middle + 1, 50), (middle + 2, 10)):
                counted[f"{name}|{bucket}"] = share * busy * random.randrange(50, 100) // 750
            counted[f"{name}|sum"] = ms * 9 * busy
        db.hset(f"{NORMAL}:stats:{hour - back}", mapping=counted)
        for name, number in counted.items():
            db.hincrby(f"{NORMAL}:stats", name, number)


@pytest.mark.skipif(not os.environ.get("DOCDECK_SCREENSHOTS"), reason="set DOCDECK_SCREENSHOTS to renew docs/admin.png")
def test_the_picture_of_the_readme(
    page: Page, start_worker: Start, queue: Queue, files: Storage, records: Records, db: "redis.Redis"
) -> None:
    a_days_figures(db)
    for user, jobs in (("ann", 5), ("bob", 3), ("school-7", 9)):
        for n in range(jobs):
            name = {1: "raises", 2: "eats_memory"}.get(n, f"chapter {n}.txt")
            body = SAMPLE if n != 3 else "?" * 30
            key = f"{user}-{n}"
            link = files.link(files.put(BytesIO(body.encode()), len(body), user, key))
            payload = {"jobId": key, "userId": user, "fileUrl": link, "fileName": name}
            records.create_job(payload, {}, len(body))
            queue.enqueue(payload)
    start_worker()
    wait_until(lambda: len(queue.dead()) >= 5, 120, "some dead jobs")
    submit(queue, records, SAMPLE, "hangs")
    wait_until(lambda: any(worker["job"] for worker in queue.stats().workers), 30, "a running job")
    page.reload()
    page.locator("#places").get_by_role("button", name="dead").click()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=ROOT / "docs" / "admin.png", full_page=True)
