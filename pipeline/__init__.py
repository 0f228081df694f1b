"""The pipeline: a document in, vocabulary and flashcards out.

Knows nothing of queues, storage or HTTP. The stages' numbers and names are those of the design; each stage is a file
of its own and passes on the small dataclasses that it defines.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.context import Sentence, find_sentences
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.flashcards import make_cards
from pipeline.headings import find_headings
from pipeline.ingestion import read_file, read_text
from pipeline.merge import counts, merge
from pipeline.phrases import find_phrases
from pipeline.scoring import Scored, choose, score
from pipeline.words import find_words

__all__ = ["BadDocument", "CompletePipeline12Stages"]

VERSION = "0.1.0"

OnProgress = Callable[[str, int], None]


class CompletePipeline12Stages:
    """The pipeline behind the name that the specification's worker imports. Cheap to make; holds no document."""

    def process_document(
        self,
        text: str,
        document_id: str,
        document_title: str,
        max_phrases: int = 40,
        max_words: int = 10,
        generate_flashcards: bool = True,
        known_words: Iterable[str] = (),
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Text into cards; form feeds part its pages.

        At most `max_phrases` phrases and `max_words` single words, without `known_words`. `on_progress(stage,
        percent)` is called throughout, with 20 when the text is read and 90 at the end. Returns the result of design.md
        section 6. Raises BadDocument where the document is at fault.
        """
        run = _Run(on_progress)
        with run.stage(1, "ingestion", 0, 20):
            document = read_text(text)
        return _process(
            run, document, document_id, document_title, max_phrases, max_words, generate_flashcards, known_words
        )

    def process_file(
        self,
        path: str | Path,
        document_id: str,
        document_title: str,
        max_phrases: int = 40,
        max_words: int = 10,
        generate_flashcards: bool = True,
        known_words: Iterable[str] = (),
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """A PDF, Word, text or Markdown file, or a picture of text, into cards.

        Options, result and errors as for `process_document`.
        """
        run = _Run(on_progress)
        with run.stage(1, "ingestion", 0, 20):
            document = read_file(Path(path), run.advance)
        return _process(
            run, document, document_id, document_title, max_phrases, max_words, generate_flashcards, known_words
        )


class _Run:
    """Times the stages of one document and passes on how far they are."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.stages: dict[str, dict[str, Any]] = {}
        self._on_progress = on_progress
        self._name, self._start, self._end = "", 0, 0
        self._last: tuple[str, int] | None = None

    @contextmanager
    def stage(self, number: int, name: str, start: int, end: int) -> Iterator[dict[str, Any]]:
        """One stage, from `start` to `end` percent of the job. Yields the dict to which it adds its counts."""
        self._name, self._start, self._end = name, start, end
        report: dict[str, Any] = {"name": name}
        self.advance(0.0)
        begun = time.perf_counter()
        yield report
        self.stages[f"stage{number}"] = {**report, "seconds": round(time.perf_counter() - begun, 3)}
        self.advance(1.0)

    def advance(self, share: float) -> None:
        """The share of the running stage that is done, 0-1; told on only when a percent is complete."""
        now = (self._name, self._start + int((self._end - self._start) * share))
        if self._on_progress and now != self._last:
            self._on_progress(*now)
            self._last = now


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's collector looks for cycles, of which these stages make none: it would take a third of their time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
def _process(
    run: _Run,
    document: Document,
    document_id: str,
    document_title: str,
    max_phrases: int,
    max_words: int,
    generate_flashcards: bool,
    known_words: Iterable[str],
) -> dict[str, Any]:
    run.stages["stage1"] |= {"pages": document.pages, "words": document.words, "furniture_lines": document.furniture}
    run.stages["stage1"] |= {**document.counts, "notes": document.notes}
    with run.stage(2, "headings", 20, 21) as report:
        document, headings = find_headings(document)
        report |= {"by": headings.by, "headings": sum(headings.levels.values())}
        report["levels"] = {str(level): count for level, count in headings.levels.items()}
    with run.stage(3, "context", 21, 30) as report:
        sentences = find_sentences(document)
        report["sentences"] = len(sentences)
    with run.stage(4, "phrases", 30, 55) as report:
        phrases = find_phrases(sentences, run.advance)
        report |= {"candidates": len(phrases), "rare_words_left_out": phrases.rare_words}
    with run.stage(7, "words", 55, 65) as report:
        words = find_words(sentences, run.advance)
        report["candidates"] = len(words)
    with run.stage(8, "merge", 65, 75) as report:
        terms, known = merge([*phrases.values(), *words.values()], sentences, known_words)
        report |= {**counts(terms), "known": known}
    if not terms and not known:
        raise BadDocument("This document has words but no sentences that cards could be made from.")
    with run.stage(9, "scoring", 75, 85) as report:
        chosen = choose(score(terms, sentences), max_phrases, max_words)
        report |= counts([entry.term for entry in chosen])
    cards: list[dict[str, Any]] = []
    if generate_flashcards:
        with run.stage(12, "flashcards", 85, 90) as report:
            cards = make_cards(chosen, sentences, document_title, run.advance)
            report |= {"cards": len(cards), "with_meaning": sum(1 for card in cards if card["meaning"])}
    vocabulary = [_entry(entry, sentences) for entry in chosen]
    return {
        "document_id": document_id,
        "document_title": document_title,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "pipeline_version": VERSION,
        "stages": run.stages,
        "vocabulary": vocabulary,
        "vocabulary_count": len(vocabulary),
        "flashcards": cards,
        "flashcards_count": len(cards),
    }


def _entry(scored: Scored, sentences: list[Sentence]) -> dict[str, Any]:
    pages = {sentences[number].page for number, _, _ in scored.term.candidate.places}
    return {
        "term": scored.term.text,
        "type": scored.term.candidate.type,
        "score": round(scored.score, 4),
        "frequency": scored.term.candidate.frequency,
        "pages": sorted(pages),
    }
