"""A PDF's pages: pdfium first, pypdf where that fails or finds hardly a word; each in a sandbox.

Decides which reader gets its turn, goes on behind a page that killed one, and says what could not be read. It cleans
nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import pdfium, pypdf_reader, sandbox
from pipeline.document import Bookmark, Extract, Page, Style
from pipeline.errors import BadDocument
from pipeline.layout import MAX_CHARACTERS, count_words
from pipeline.sandbox import Ending, Limits, Send

Progress = Callable[[float], None]

_HARDLY_A_WORD = 10  # fewer words than this and the other reader gets its turn
_FIRST_TURN, _SECOND_TURN = 22.0, 14.0  # seconds
_PAGE = 8.0  # seconds for one page
_RESTARTS = 12  # pages that may kill pdfium before the rest is left to pypdf

LOCKED = "This PDF is locked with a password. Remove the password and upload it again."
DAMAGED = "This PDF is cut off or damaged: it cannot be opened. Upload it again from the original."
TOO_HARD = (
    "This PDF takes more time or memory to read than Docdeck gives to one document; "
    "it may be damaged. Save it anew, or as plain text, and upload that."
)
NO_TEXT = "This PDF has no text in it: its pages are empty, or drawn without letters. Upload one with text."


class _Enough(Exception):
    """The document's text is as long as Docdeck reads."""


@dataclass
class Reading:
    """What both readers have found so far. `pages` by number, 0 the first; `pictures`: pages that show only one."""

    count: int = 0
    pages: dict[int, Page] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    pictures: list[int] = field(default_factory=list)
    bookmarks: list[Bookmark] = field(default_factory=list)
    characters: int = 0
    locked: bool = False
    exhausted: bool = False  # a limit was passed

    def hear(self, message: list[Any]) -> None:
        """Take in what a reader says."""
        match message:
            case ["open", count]:
                self.count = max(self.count, count)
            case ["page", number, text, types, is_picture]:
                self.pages[number] = Page(text.split("\n"), list(map(_style, types)))
                self.broken.discard(number)
                if is_picture:
                    self.pictures.append(number)
                self.characters += len(text)
                if self.characters > MAX_CHARACTERS:
                    raise _Enough
            case ["broken", number]:
                self.broken.add(number)
            case ["bookmarks", entries]:
                self.bookmarks = [Bookmark(*entry) for entry in entries]
            case ["locked"]:
                self.locked = True

    def has_words(self) -> bool:
        """Whether there is more than hardly a word."""
        return count_words((line for page in self.pages.values() for line in page.lines), _HARDLY_A_WORD) >= (
            _HARDLY_A_WORD
        )


@cache
def _style(looked_up: float) -> Style:
    return Style(0, abs(looked_up), looked_up < 0)


def read_pdf(path: Path, on_progress: Progress) -> tuple[Extract, list[int]]:
    """The pages, and the numbers (0 is the first) of those that are a picture only. Raises BadDocument."""
    reading = Reading()
    cut = False
    try:
        _first_turn(path, reading, on_progress)
        if reading.locked:
            raise BadDocument(LOCKED)
        if not reading.has_words() or reading.broken:
            _second_turn(path, reading, on_progress)
    except _Enough:
        cut = True
    if not reading.pages or (reading.exhausted and not reading.has_words() and not reading.pictures):
        raise BadDocument(LOCKED if reading.locked else TOO_HARD if reading.exhausted else DAMAGED)
    return _extract(reading, cut), reading.pictures


def _first_turn(path: Path, reading: Reading, on_progress: Progress) -> None:
    """pdfium; a page at which it dies or stays is left out and it starts anew behind that."""

    at = 0

    def hear(message: list[Any]) -> None:
        nonlocal at
        reading.hear(message)
        if message[0] in ("page", "broken"):
            at = message[1] + 1
            on_progress(at / max(reading.count, 1))

    ends = time.monotonic() + _FIRST_TURN
    for _ in range(_RESTARTS):

        def work(send: Send, first: int = at) -> None:
            pdfium.read(path, first, send)

        ending = sandbox.run(work, hear, Limits(max(ends - time.monotonic(), 0.1), _PAGE))
        if ending is Ending.DONE:
            return
        reading.exhausted = reading.exhausted or ending is not Ending.CRASHED
        if at >= min(reading.count, pdfium.MAX_PAGES):  # it could not open the file, or died behind the last page
            return
        if time.monotonic() >= ends:
            break
        reading.broken.add(at)
        at += 1
    reading.broken.update(range(at, min(reading.count, pdfium.MAX_PAGES)))


def _second_turn(path: Path, reading: Reading, on_progress: Progress) -> None:
    """pypdf: for the whole document where pdfium found hardly a word, else for the pages at which it failed."""
    has_words = reading.has_words()
    wanted = sorted(reading.broken) if has_words else None
    second = Reading()

    def hear(message: list[Any]) -> None:
        second.hear(message)
        if message[0] == "page":
            on_progress((message[1] + 1) / max(second.count, 1))

    ending = sandbox.run(lambda send: pypdf_reader.read(path, wanted, send), hear, Limits(_SECOND_TURN, _SECOND_TURN))
    reading.exhausted = reading.exhausted or ending in (Ending.TIME, Ending.MEMORY, Ending.OUTPUT)
    reading.locked = second.locked and not reading.pages
    if second.count > max(reading.pages, default=0):
        reading.count = second.count  # pypdf counts pages; pdfium believes what the file claims
        reading.broken = {number for number in reading.broken if number < second.count}
    if has_words or second.has_words() or not reading.pages:
        reading.pages |= second.pages
        reading.broken = (reading.broken | second.broken) - set(second.pages)
        reading.pictures = [number for number in reading.pictures if not any(second.pages.get(number, Page([])).lines)]


def _extract(reading: Reading, cut: bool) -> Extract:
    total = min(reading.count, pdfium.MAX_PAGES)
    last = max(reading.pages) + 1 if cut else total
    extract = Extract([reading.pages.get(number, Page([])) for number in range(last)], reading.bookmarks)
    unreadable = sum(1 for number in range(last) if number not in reading.pages)
    extract.counts["pages_unreadable"] = unreadable
    if unreadable:
        extract.notes.append(f"{unreadable} of {reading.count} pages could not be read; the cards are from the others.")
    if reading.count > last:
        extract.counts["pages_left_out"] = reading.count - last
        extract.notes.append(f"Only the first {last:,} of {reading.count:,} pages were read.")
    return extract
