"""The pipeline: a document in, vocabulary and flashcards out.

Knows nothing of queues, storage or HTTP. The stages' numbers and names are those of the design; each stage is a file
of its own and passes on the small dataclasses that it defines.
"""

import gc
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import bm25
from pipeline.cefr import LEVELS
from pipeline.context import Sentence, find_sentences
from pipeline.dense import embed, no_vectors
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.flashcards import Material, make_cards
from pipeline.graph import draw, find_topics
from pipeline.headings import Headings, find_headings
from pipeline.ingestion import read_file, read_text
from pipeline.merge import merge
from pipeline.phrases import find_phrases
from pipeline.scoring import score
from pipeline.synonyms import collapse
from pipeline.terms import Scored, counts, limit, rank
from pipeline.tokens import make_tokens
from pipeline.words import find_words

__all__ = ["BadDocument", "CompletePipeline12Stages"]

VERSION = "0.2.0"

OnProgress = Callable[[str, int], None]


class CompletePipeline12Stages:
    """The pipeline behind the name that the specification's worker imports. Cheap to make; holds no document.

    `without`: stages, of 2 and 5 to 11, that bench/pipeline.py leaves out to see what they do. `vi_dictionary`: a file
    of Vietnamese meanings (vietnamese.py).
    """

    def __init__(self, without: Collection[int] = (), vi_dictionary: str | Path | None = None) -> None:
        self._without = frozenset(without)
        self._dictionary = Path(vi_dictionary) if vi_dictionary else None

    def process_document(
        self,
        text: str,
        document_id: str,
        document_title: str,
        max_phrases: int = 40,
        max_words: int = 10,
        generate_flashcards: bool = True,
        known_words: Iterable[str] = (),
        min_cefr: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Text into cards; form feeds part its pages.

        At most `max_phrases` phrases and `max_words` single words, without `known_words` and what is easier than
        `min_cefr` (A1 to C2). `on_progress(stage, percent)` is called throughout, with 20 when the text is read and 90
        at the end. Returns the result of design.md section 6. Raises BadDocument where the document is at fault,
        ValueError for a level that there is not.
        """
        options = _Options(max_phrases, max_words, generate_flashcards, tuple(known_words), min_cefr)
        run = _Run(on_progress)
        with run.stage(1, "ingestion", 0, 20):
            document = read_text(text)
        return _process(run, document, document_id, document_title, options, self._without, self._dictionary)

    def process_file(
        self,
        path: str | Path,
        document_id: str,
        document_title: str,
        max_phrases: int = 40,
        max_words: int = 10,
        generate_flashcards: bool = True,
        known_words: Iterable[str] = (),
        min_cefr: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """A PDF, Word, text or Markdown file, or a picture of text, into cards.

        Options, result and errors as for `process_document`.
        """
        options = _Options(max_phrases, max_words, generate_flashcards, tuple(known_words), min_cefr)
        run = _Run(on_progress)
        with run.stage(1, "ingestion", 0, 20):
            document = read_file(Path(path), run.advance)
        return _process(run, document, document_id, document_title, options, self._without, self._dictionary)


@dataclass(frozen=True, slots=True)
class _Options:
    max_phrases: int
    max_words: int
    generate_flashcards: bool
    known_words: tuple[str, ...]
    min_cefr: str | None

    def __post_init__(self) -> None:
        if self.min_cefr is not None and self.min_cefr not in LEVELS:
            raise ValueError(f"min_cefr is one of {', '.join(LEVELS)}, not {self.min_cefr!r}.")


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
    title: str,
    options: _Options,
    without: frozenset[int],
    dictionary: Path | None,
) -> dict[str, Any]:
    run.stages["stage1"] |= {"pages": document.pages, "words": document.words, "furniture_lines": document.furniture}
    run.stages["stage1"] |= {**document.counts, "notes": document.notes}
    with run.stage(2, "headings", 20, 21) as report:
        document, headings = (document, Headings("nothing", {})) if 2 in without else find_headings(document)
        report |= {"by": headings.by, "headings": sum(headings.levels.values())}
        report["levels"] = {str(level): count for level, count in headings.levels.items()}
    with run.stage(3, "context", 21, 30) as report:
        sentences = find_sentences(document)
        report["sentences"] = len(sentences)
    with run.stage(4, "phrases", 30, 55) as report:
        tokens = make_tokens(sentences)
        phrases = find_phrases(tokens, run.advance)
        report |= {"candidates": len(phrases), **phrases.by_kind()}
        report |= {"dropped": phrases.dropped, "rare_words_left_out": tokens.rare_words}
    with run.stage(5, "dense", 55, 60) as report:
        dense = no_vectors(tokens) if 5 in without else embed(tokens)
        report |= {"words_with_vectors": dense.known, "sentences": len(dense.sentences)}
    with run.stage(6, "bm25", 60, 62) as report:
        kept = phrases if 6 in without else phrases.only(bm25.borne_out(tokens, phrases))
        report |= {"kept": len(kept), "left_out": len(phrases) - len(kept)}
    with run.stage(7, "words", 62, 67) as report:
        words = kept.only(kept.kinds < 0) if 7 in without else find_words(tokens)
        report |= {"candidates": len(words), "dropped": words.dropped}
    with run.stage(8, "merge", 67, 75) as report:
        merged = merge(tokens, [kept, words], options.known_words, options.min_cefr, bare=8 in without)
        report |= {"terms": len(merged.candidates), "variants_joined": merged.joined}
        report |= {"known": merged.known, "easy": merged.easy, "named": merged.named}
    if not len(merged.candidates) and not merged.known and not merged.easy:
        raise BadDocument("This document has words but no sentences that cards could be made from.")
    with run.stage(9, "scoring", 75, 82) as report:
        scores = score(tokens, merged, dense, without)
        ranked = rank(tokens, sentences, merged, scores, options.max_phrases, options.max_words)
        report["ranked"] = len(ranked)
    with run.stage(10, "synonyms", 82, 84) as report:
        alike, joined = (ranked, 0) if 10 in without else collapse(ranked, sentences)
        chosen = limit(alike, options.max_phrases, options.max_words)
        report |= {"collapsed": joined, "not_chosen": len(merged.candidates) - joined - len(chosen), **counts(chosen)}
    with run.stage(11, "graph", 84, 85) as report:
        topics, near = find_topics(chosen)
        graph = {} if 11 in without else draw(chosen, topics, near, title)
        report |= {"topics": len(topics), "edges": len(graph.get("edges", ()))}
    cards: list[dict[str, Any]] = []
    if options.generate_flashcards:
        with run.stage(12, "flashcards", 85, 90) as report:
            material = Material(sentences, tokens, dense, title, dictionary)
            cards = make_cards(chosen, topics, material, run.advance)
            report |= {"cards": len(cards), "with_meaning": sum(1 for card in cards if card["meaning"])}
    cluster = {member: number for number, topic in enumerate(topics) for member in topic.members}
    vocabulary = [_entry(entry, sentences, cluster[number]) for number, entry in enumerate(chosen)]
    return {
        "document_id": document_id,
        "document_title": title,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "pipeline_version": VERSION,
        "stages": run.stages,
        "vocabulary": vocabulary,
        "vocabulary_count": len(vocabulary),
        "knowledge_graph": graph,
        "flashcards": cards,
        "flashcards_count": len(cards),
    }


def _entry(scored: Scored, sentences: Sequence[Sentence], cluster: int) -> dict[str, Any]:
    candidate = scored.term.candidate
    return {
        "term": scored.term.text,
        "type": candidate.type,
        "kind": candidate.kind,
        "part_of_speech": candidate.part_of_speech,
        "score": round(scored.score, 4),
        "frequency": candidate.frequency,
        "pages": sorted({sentences[number].page for number, _, _ in candidate.places}),
        "cluster_id": cluster,
        "variants": list(scored.variants),
    }
