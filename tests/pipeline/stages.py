"""The pipeline's stages one by one on a text that stands in the test."""

from dataclasses import dataclass

from pipeline.candidates import KINDS, Candidates
from pipeline.context import Sentence, find_sentences
from pipeline.dense import embed
from pipeline.document import Document, Line, Style
from pipeline.merge import Merged, merge
from pipeline.phrases import find_phrases
from pipeline.scoring import score
from pipeline.terms import Scored, limit, rank
from pipeline.tokens import Tokens, make_tokens
from pipeline.words import find_words


@dataclass
class Text:
    """What stages 3 to 8 make of paragraphs; one that begins with # is a heading."""

    sentences: list[Sentence]
    tokens: Tokens
    phrases: Candidates
    words: Candidates
    merged: Merged

    def ranked(self, max_phrases: int = 40, max_words: int = 10) -> list[Scored]:
        """Stage 9's answer, the best first."""
        scores = score(self.tokens, self.merged, embed(self.tokens))
        return limit(
            rank(self.tokens, self.sentences, self.merged, scores, max_phrases, max_words), max_phrases, max_words
        )


def read(*lines: str, known: tuple[str, ...] = (), min_cefr: str | None = None) -> Text:
    """Stages 3, 4, 7 and 8."""
    blocks = [(Line(1, line.lstrip("# "), Style(int(line.startswith("#")))), Line(1, "")) for line in lines]
    sentences = find_sentences(Document([line for block in blocks for line in block], 1, 0, 0))
    tokens = make_tokens(sentences)
    phrases, words = find_phrases(tokens, lambda _: None), find_words(tokens)
    return Text(sentences, tokens, phrases, words, merge(tokens, [phrases, words], known, min_cefr))


def keys(found: Candidates, kind: int | None = None) -> dict[str, int]:
    """How often each candidate of a kind comes, by its base form."""
    return {
        " ".join(key): int(often)
        for key, often, of_kind in zip(found.keys, found.frequencies, found.kinds, strict=True)
        if kind in (None, of_kind)
    }


def kind_of(found: Candidates, key: str) -> str:
    """Which kind the candidate with this base form is."""
    return KINDS[found.kinds[[" ".join(words) for words in found.keys].index(key)]]
