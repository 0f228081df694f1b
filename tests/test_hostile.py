"""Every hostile file through the child that the worker would give it, and the worst of them through a whole worker.

A file may end in cards or in one sentence for its owner, takes at most a minute of CPU and a gigabyte, and leaves
nothing behind. The files are made by make_hostile.py and read by two processes of run_hostile.py at once, in the order
of the tests.
DOCDECK_HOSTILE=all tries those as well that take long and of whose kind another one is tried anyway.
"""

import json
import os
import queue as queues
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from pipeline.context import find_sentences
from pipeline.ingestion import read_text
from pipeline.layout import TOO_LONG
from queue_lib import Queue
from records import Records
from tests.hostile_parts import CARDS, SENTENCE
from tests.make_hostile import FILES
from tests.run_hostile import SECONDS, Outcome
from tests.support import ROOT
from tests.worker_tools import SAMPLE, Start, ended, nothing_left, submit, worker_log

MEGABYTES = 1024  # the most that one of a document's processes, or all of them together, may hold
WORKER_MEGABYTES = 150
READERS = 2
# Of each kind one that the readers bear worst, as long as it is soon over.
WORST = [
    "flate-bomb.pdf",
    "flate-bomb-twice-packed-4-kb-to-3-gb.pdf",
    "page-tree-that-is-its-own-kid.pdf",
    "arrays-a-million-deep.pdf",
    "random-bytes.pdf",
    "picture-of-65535-squared.pdf",
    "zip-bomb.docx",
    "billion-laughs.docx",
    "picture-65535-squared.png",
    "a-million-brackets.txt",
    "letters-that-grow-eighteen-times.txt",
    "password-needed.pdf",
]


LONG = {
    "a-million-broken-words.txt", "a-million-bullets.txt", "a-million-different-compounds.txt",
    "a-million-font-changes.pdf", "a-million-headings.txt", "a-million-letters-in-one-place.pdf",
    "a-million-lines-of-a-letter.txt", "a-million-markdown-headings.txt", "a-million-marks.pdf",
    "a-million-nouns-in-a-row.txt", "a-million-words-with-of-between.txt", "note-that-is-shown-a-million-times.docx",
    "one-sentence-of-5-mb.txt", "picture-of-ten-thousand-scans.jpg",
    "to-unicode-that-makes-a-megabyte-of-each-letter.pdf", "a-million-kids-that-are-one-page.pdf",
    "a-million-lines-of-a-hyphen.txt", "a-million-moves.pdf", "a-million-names.txt", "a-million-text-objects.pdf",
    "a-million-words-in-one-sentence.txt", "a-page-for-each-word.txt", "fifty-mb-of-one-article.txt",
    "fifty-pages-of-20-mb-of-nothing.pdf", "forms-that-laugh-a-billion-times.pdf", "gigabyte-of-empty-paragraphs.docx",
    "one-line-of-50-mb.txt", "table-of-a-million-cells.docx", "to-unicode-with-two-million-ranges.pdf",
    "ten-mb-of-english-words-in-no-order.txt", "twenty-mb-of-nonsense.txt",
    "two-thousand-pages-of-a-picture.pdf", "words-that-are-all-different.pdf",
}  # fmt: skip
TRIED = [name for name in FILES if name not in LONG or os.environ.get("DOCDECK_HOSTILE") == "all"]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Outcome]"]]:
    """What becomes of each file that a test of this run asks for."""
    params = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    names = [call.params["name"] for call in params if call is not None and "name" in call.params]
    idle: queues.SimpleQueue[subprocess.Popen[str]] = queues.SimpleQueue()
    readers = []
    for _ in range(READERS):
        command = [sys.executable, "-m", "tests.run_hostile", str(tmp_path_factory.mktemp("hostile"))]
        readers.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        idle.put(readers[-1])

    def read(name: str) -> Outcome:
        reader = idle.get()
        try:
            assert reader.stdin is not None
            assert reader.stdout is not None
            print(name, file=reader.stdin, flush=True)
            line = reader.stdout.readline()
            assert line, f"the reading process itself died of {name}"
            return Outcome(**json.loads(line))
        finally:
            idle.put(reader)

    with ThreadPoolExecutor(READERS) as pool:
        yield {name: pool.submit(read, name) for name in dict.fromkeys(names)}
        for reader in readers:
            reader.kill()
            reader.wait()
            for stream in (reader.stdin, reader.stdout):
                assert stream is not None
                stream.close()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", TRIED)
def test_a_hostile_file_ends_in_cards_or_a_sentence_within_a_minute_of_cpu_and_a_gigabyte_and_leaves_nothing(
    outcomes: dict[str, "Future[Outcome]"], name: str
) -> None:
    outcome = outcomes[name].result()
    assert outcome.ended in ("done", "refused"), f"{outcome.ended} at {outcome.last}: {outcome.said}"
    if outcome.ended == "refused":
        assert is_readable(outcome.said), outcome.said
        assert FILES[name].expected != CARDS, outcome.said
    else:
        assert outcome.cards > 0
        assert FILES[name].expected != SENTENCE, f"{outcome.cards} cards"
        assert outcome.result < 2_000_000, "such a result does not travel"
        assert "root:" not in outcome.said, "a file of this machine is on the cards"
    assert 0 < outcome.seconds <= SECONDS
    assert max(outcome.peak, outcome.together) <= MEGABYTES
    assert (outcome.processes, outcome.files) == ([], [])


@pytest.mark.parametrize("name", ["members-that-climb-out.docx"])
def test_a_member_that_climbs_out_of_its_zip_is_written_nowhere(
    outcomes: dict[str, "Future[Outcome]"], name: str
) -> None:
    assert outcomes[name].result().files == []
    assert not Path("/tmp/docdeck-climbed.txt").exists()


@pytest.mark.parametrize("name", ["ten-mb-of-nonsense.txt"])
def test_what_is_beyond_any_real_documents_length_and_vocabulary_is_told(
    outcomes: dict[str, "Future[Outcome]"], name: str
) -> None:
    outcome = outcomes[name].result()
    assert outcome.stages["stage4"]["rare_words_left_out"] > 100_000
    assert TOO_LONG in outcome.stages["stage1"]["notes"]
    assert outcome.cards == 50


def test_a_document_of_a_million_words_is_read_whole_and_one_that_is_longer_is_told_so() -> None:
    line = "The keeper of the old lighthouse climbed its stairs every evening."
    million = "\n".join([line] * (1_000_000 // len(line.split()) + 1))
    document = read_text(million)
    assert (document.words >= 1_000_000, document.notes) == (True, [])
    document = read_text(million + " Water" * 1_000_000)
    assert document.notes == [TOO_LONG]
    assert max(len(sentence.text) for sentence in find_sentences(document)) <= 3000


def test_a_worker_that_was_given_the_worst_of_them_is_unharmed_and_makes_the_next_documents_cards(
    start_worker: Start, redis_url: str, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    queue = Queue(redis_url, lease=24)
    worker = start_worker(lease=24)
    jobs = {name: submit(queue, records, FILES[name].build(), name) for name in WORST}
    good = submit(queue, records, SAMPLE)
    for name, job_id in jobs.items():
        end = ended(queue, job_id, seconds=2 * SECONDS)
        assert end["status"] == "completed" or is_readable(end["error"]), f"{name}: {end.get('error')}"
        assert db.hmget(f"job:{job_id}", "attempts", "cause") == ["1", None], name
    assert ended(queue, good)["status"] == "completed"
    assert worker.poll() is None
    assert resident(worker.pid) <= WORKER_MEGABYTES
    assert "job will be retried" not in worker_log(tmp_path)
    nothing_left(db, tmp_path)


def is_readable(sentence: str) -> bool:
    """A sentence or two for whoever uploaded the file: no traceback, no name of an exception, an end."""
    technical = re.search(r"Traceback|\w+(?:Error|Exception)\b|0x[0-9a-f]+|\n", sentence)
    return bool(re.fullmatch(r"[A-Z].{15,400}\.", sentence)) and not technical


def resident(pid: int) -> int:
    """MB of memory that a process holds now."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) >> 10 for row in rows if row.startswith("VmRSS:"))
