"""The users of bench/load.py, in a process of their own: locust makes all of Python's waiting gevent's.

    python bench/load_users.py SETTINGS OUT       both JSON files; OUT is what happened

Each user does what the page does: a file of up to 4 MB goes as a form, a bigger one straight to the bucket, and from
then on a job is asked for every two seconds, with the ETag of the answer before, until its cards are there. What is
refused with 503 is sent again when `Retry-After` says so, and counted.
"""

import hashlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust.env import Environment
from locust.exception import StopUser

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import documents
from bench.documents import Document

DIRECT = 4 * documents.MB  # the page's: from here a file goes past the API
POLL = 2  # seconds
PATIENCE = 900  # seconds after the last upload for the last cards
PIECE = 64 * 1024  # bytes that go out at once
BOUNDARY = "bench-bench-bench"


class Line:
    """A body that goes out as fast as a user's line lets it, in bytes a second."""

    def __init__(self, content: bytes, rate: float) -> None:
        self._content, self._rate, self._sent, self._began = content, rate, 0, time.monotonic()

    def __len__(self) -> int:
        return len(self._content)

    def read(self, _: int) -> bytes:
        """The next bytes, when it is their time; more than are asked for, which is a little."""
        ahead = self._sent / self._rate - (time.monotonic() - self._began)
        if ahead > 0.01:
            gevent.sleep(ahead)
        piece = self._content[self._sent : self._sent + PIECE]
        self._sent += len(piece)
        return piece


class Reader(FastHttpUser):
    """Somebody who uploads a document every so often, and waits for the cards of each."""

    settings: dict[str, Any]
    events: list[dict[str, Any]]  # every request: when it began, its name, ms and status
    jobs: list[dict[str, Any]]  # every upload: when it began, its bytes, jobId, and seconds until its cards were there
    made: list[list[Document]]
    links: list[str]  # if there are any, the files are PUT there, and that is all
    began = 0.0
    network_timeout = connection_timeout = 120.0
    concurrency = 6  # connections, as a browser's

    @task
    def live(self) -> None:
        """All rounds, each at its time; then nothing more."""
        mine, asking = self.made.pop(), []
        self.number = len(self.made)
        every, phase = self.settings["every"], 0.0
        for number, document in enumerate(mine):
            gevent.sleep(max(0, self.began + number * every + phase - time.time()))
            asking.append(gevent.spawn(self.learn, number, document))
            phase = 0 if self.settings["bursts"] else every * (self.number / self.settings["users"] - 0.5)
        gevent.joinall(asking)
        raise StopUser

    def learn(self, number: int, document: Document) -> None:
        """One document, from its upload to its cards."""
        content = document.content()
        if self.links:
            size = "50 MB" if len(content) > DIRECT else "1 MB"
            self.ask(f"upload of {size}: in the bucket", "PUT", self.links.pop(), data=content)
            return
        job = {"began": time.time(), "size": len(content), "round": number, "jobId": None, "seconds": None, "cards": 0}
        self.jobs.append(job)
        direct = len(content) > DIRECT and not self.settings["form"]
        job["jobId"] = self.send_directly(document, content) if direct else self.send_form(document, content, number)
        del content
        etag = ""
        while job["jobId"] and time.time() < self.began + self.settings["seconds"] + PATIENCE:
            gevent.sleep(POLL)
            unless = {"If-None-Match": etag} if etag else None
            answer = self.ask("poll", "GET", f"/api/job-status/{job['jobId']}", headers=unless)
            etag = answer.headers.get("ETag", "") if answer.status_code == 200 else etag
            job["polls"] = job.get("polls", 0) + 1
            if answer.status_code == 200 and (told := answer.json())["status"] in ("completed", "failed"):
                job.update(seconds=time.time() - job["began"], status=told["status"], error=told.get("error"))
                job["cards"] = len(json.loads(told.get("result", "{}")).get("flashcards", ()))
                return

    def send_form(self, document: Document, content: bytes, number: int) -> str | None:
        """The specification's way; the jobId."""
        part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
        head = f'{part}"userId"\r\n\r\n{self.user}\r\n{part}"file"; filename="{document.name}"\r\n\r\n'
        body = b"".join((head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()))
        form = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        name = "upload of 50 MB" if len(content) > DIRECT else "upload of 1 MB: " + ("later" if number else "the burst")
        return self.job_of(self.ask(name, "POST", "/api/upload-document-async", data=body, headers=form))

    def send_directly(self, document: Document, content: bytes) -> str | None:
        """The page's way for big files; the jobId."""
        told = {"fileName": document.name, "size": len(content), "userId": self.user, "sha256": document.sha256}
        begun = self.ask("upload of 50 MB: begun", "POST", "/api/uploads", json=told)
        if begun.status_code != 201:
            return self.job_of(begun)
        self.ask("upload of 50 MB: in the bucket", "PUT", begun.json()["url"], data=content)
        path = f"/api/uploads/{begun.json()['uploadId']}/complete"
        return self.job_of(self.ask("upload of 50 MB: complete", "POST", path, json={}))

    def ask(self, name: str, method: str, url: str, **more: Any) -> Any:
        """One request, and again after a 503; every answer is counted."""
        body, rate = more.pop("data", None), self.settings["line"] * 1e6 / 8
        while True:
            began = time.time()
            data = Line(body, rate) if body and rate else body
            with self.client.request(method, url, name=name, catch_response=True, data=data, **more) as answer:
                answer.success()  # what is a failure is told from the codes, at the end
            ms = (time.time() - began) * 1000
            self.events.append({"began": began, "name": name, "ms": ms, "code": answer.status_code})
            if answer.status_code != 503:
                return answer
            gevent.sleep(float(answer.headers.get("Retry-After", 5)))

    @staticmethod
    def job_of(answer: Any) -> str | None:
        """The jobId of an answer; None for any other."""
        return str(answer.json()["jobId"]) if answer.status_code == 200 else None

    @property
    def user(self) -> str:
        """A user of its own."""
        return f"reader-{self.number}"


def make(settings: dict[str, Any]) -> list[list[Document]]:
    """For each user a document for each round: some users have big ones. What a user's own machine would do with it
    while others upload is done here, in advance: the burst's are whole in memory, and their sums are known."""
    users, big = settings["users"], settings["big"]
    number, made = 0, []
    for user in range(users):
        mine = []
        for turn in range(settings["rounds"]):
            number += 1
            document = (documents.big if user * big % users < big else documents.small)(number)
            content = document.content()
            sha256, parts = hashlib.sha256(content).hexdigest(), document.parts if turn else (content,)
            mine.append(replace(document, parts=parts, sha256=sha256))
        made.append(mine)
    return made


def main() -> None:
    """Make the documents, say so, let all users begin at once, and write down what happened."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    made = make(settings)
    print("ready", flush=True)
    Reader.host = sys.stdin.readline().strip()  # the stack is up
    Reader.links = json.loads(sys.stdin.readline())
    Reader.settings, Reader.made, Reader.events, Reader.jobs = settings, made, [], []
    environment = Environment(user_classes=[Reader])
    runner = environment.create_local_runner()
    Reader.began = time.time()
    runner.start(settings["users"], spawn_rate=settings["users"])
    while runner.user_count or not Reader.events:
        gevent.sleep(0.2)
    runner.quit()
    told = {"began": Reader.began, "events": Reader.events, "jobs": Reader.jobs}
    Path(sys.argv[2]).write_text(json.dumps(told))
    os._exit(0)


if __name__ == "__main__":
    main()
