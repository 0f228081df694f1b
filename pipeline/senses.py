"""Which of WordNet's senses a term has in a document, by a log-linear model over evidence for each sense.

Evidence: how often WordNet's own corpus has the sense (the prior); how near its vectors are to those of the sentence
with the term, of all sentences that hold it (one sense per document) and of the words beside it; words that its gloss
and examples share with these sentences (Lesk 1986); neighbours of the term that stand beside it in an example; and what
a small transformer reads in the words beside the term (pipeline/encoder.py). The vectors come from
bench/train_senses.py and bench/make_encoder.py, which learn them from WordNet's own glosses, examples and relations;
only how much each kind of evidence counts is learned from tagged texts.

Only sentences that hold the term are looked at, so that its sense stays when others are edited. Evidence of the
sentences around these and of the whole document, when it was still there, made 71.2 % right instead of 70.9.

It does not tag all words of a text, and it knows no senses but WordNet's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipeline.dense import Dense, Floats, open_vectors, unit, weigh
from pipeline.encoder import BEGIN, BESIDE, END, LONGEST, open_encoder, open_told, places_of
from pipeline.english import CLOSED_CLASSES, base_form, zipf
from pipeline.tokens import Tokens
from pipeline.wordnet import NOUN, PARTS_OF_SPEECH, VERB, Synset, open_wordnet

MODEL = Path(__file__).parent / "data" / "senses.npz"
_PRIOR = ("prior count", "prior first", "prior rank", "prior unseen")
_CONTEXT = (
    *("learned sentence", "learned pooled", "learned beside", "vector sentence", "vector pooled"),
    *("lesk sentence", "lesk pooled", "example", "read sentence", "read pooled"),
)
# What singles out one sense counts once more: "alone" is by how much it is ahead of the second.
EVIDENCE = (*_PRIOR, *_CONTEXT, *(f"{kind} alone" for kind in _CONTEXT))
_BESIDE = 3  # words before and behind
_LOOKED_AT = 4  # sentences with the term; to read them costs most

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class Choice:
    """`senses`: all of the lemma's, the likeliest first, with their probabilities, which add up to 1. `fit`: of each
    sentence that was looked at, how probable the first of them is there."""

    senses: tuple[tuple[Synset, float], ...]
    fit: dict[int, float]


class Model:
    """The file's vectors of senses and weights of the evidence."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._keys: NDArray[np.int64] = file["keys"]
            self._learned: NDArray[np.int8] = file["learned"]
            self._related: NDArray[np.int8] = file["related"]
            self.weights: NDArray[np.float64] = file["weights"]

    def vectors(self, offsets: Sequence[int], part_of_speech: str) -> tuple[Floats, Floats]:
        """Learned vectors of synsets and those of their neighbours, (senses, dimensions); zeros where it has none."""
        rows, found = places_of([sense_key(offset, part_of_speech) for offset in offsets], self._keys)
        known = found[:, None]
        return (self._learned[rows] * known).astype(np.float32), unit((self._related[rows] * known).astype(np.float32))


@cache
def open_model() -> Model:
    """The model that comes with the pipeline."""
    return Model(MODEL)


def sense_key(offset: int, part_of_speech: str) -> int:
    """A synset's number in the file."""
    return PARTS_OF_SPEECH.index(part_of_speech) * 10**8 + offset


@lru_cache(1 << 14)
def stem(word: str) -> str:
    """The base form of a lower-case word of whatever part of speech."""
    base = base_form(word, NOUN)
    return base if base != word else base_form(word, VERB)


def content_words(text: str) -> list[str]:
    """The words of a gloss or example in lower case and base form, without function words."""
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in CLOSED_CLASSES and len(word) > 1]


class Senses:
    """Looks at one document, of which it keeps the words of each sentence that it was asked about."""

    def __init__(self, tokens: Tokens, dense: Dense) -> None:
        self._tokens, self._dense = tokens, dense
        self._sums: dict[int, Floats] = {}
        self._content: dict[int, frozenset[str]] = {}
        self._marks = _marks_of(tokens)

    def choose(self, lemma: str, part_of_speech: str, places: Sequence[tuple[int, int, int]], is_name: bool) -> Choice:
        """The senses of a lower-case lemma. `places`: as those of a Candidate. Only a name may have a sense that
        WordNet writes with capitals, if there is another."""
        wordnet = open_wordnet()
        offsets = wordnet.senses(lemma, part_of_speech)
        synsets = [wordnet.synset(offset, part_of_speech) for offset in offsets]
        looked_at = self._some(places)
        if len(synsets) == 1:
            return Choice(((synsets[0], 1.0),), {sentence: 1.0 for sentence, _, _ in looked_at})
        evidence = self.evidence(lemma, part_of_speech, looked_at)  # (places, senses, kinds)
        scores = evidence @ open_model().weights
        if not is_name and any(lemma in synset.lemmas for synset in synsets):
            scores[:, [lemma not in synset.lemmas for synset in synsets]] = -np.inf
        here, all_over = _softmax(scores), _softmax(scores.mean(0, keepdims=True))[0]
        order = np.lexsort((np.arange(len(synsets)), -all_over)).tolist()
        fit = dict(zip((place[0] for place in looked_at), here[:, order[0]].tolist(), strict=True))
        return Choice(tuple((synsets[number], float(all_over[number])) for number in order), fit)

    def _some(self, places: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Of as many sentences as are looked at, the first place: those with the lowest marks. So a sentence that is
        added or left out changes at most one of them, and what is repeated counts once."""
        _, first = np.unique(self._marks[[sentence for sentence, _, _ in places]], return_index=True)
        return [places[number] for number in first[:_LOOKED_AT].tolist()]

    def evidence(
        self, lemma: str, part_of_speech: str, places: Sequence[tuple[int, int, int]]
    ) -> NDArray[np.float64]:
        """(places, senses, kinds of EVIDENCE), of the senses in WordNet's order."""
        offsets = open_wordnet().senses(lemma, part_of_speech)
        own = {stem(word) for word in _WORD.findall(lemma)} | set(_WORD.findall(lemma))
        learned, related = open_model().vectors(offsets, part_of_speech)
        signatures = [_signature(offset, part_of_speech) for offset in offsets]
        texts = [[word for word in signature if word not in own] for signature in signatures]
        names = [[word for word in _names(offset, part_of_speech) if word not in own] for offset in offsets]
        plain = unit(_vectors(texts) + 0.5 * _vectors(names) + 0.8 * related)
        holding = list(dict.fromkeys(sentence for sentence, _, _ in places))
        pooled = self._without(holding, own)
        pooled_words = frozenset().union(*(self._words(sentence) for sentence in holding)) - own
        prior = _prior(lemma, part_of_speech, len(offsets))
        told = open_told().senses([sense_key(offset, part_of_speech) for offset in offsets])
        asked = self._asked(places)
        of_all = told @ asked.mean(0)
        rows = []
        for (sentence, first, after), query in zip(places, asked, strict=True):
            beside = self._beside(sentence, first, after)
            contexts = unit(np.stack([self._without([sentence], own), pooled, self._dense.words[beside].sum(0)]))
            words = self._words(sentence) - own
            near = {stem(self._tokens.words[number]) for number in beside.tolist()} - own - {""}
            shared = [[_overlap(signature, bag) for bag in (words, pooled_words)] for signature in signatures]
            examples = [_example(offset, part_of_speech, own, near) for offset in offsets]
            others = np.stack([examples, told @ query, of_all], axis=1)
            rows.append(np.hstack([prior, learned @ contexts.T / 16, plain @ contexts[:2].T, shared, others]))
        evidence = np.stack(rows).astype(np.float64)
        return np.concatenate([evidence, _alone(evidence[:, :, len(_PRIOR) :])], axis=2)

    def _asked(self, places: Sequence[tuple[int, int, int]]) -> Floats:
        """(places, dimensions): what the encoder reads of the term."""
        # "flight crew" stands as "flight-crew" too.
        lengths = np.array([min(LONGEST, after - first) for _, first, after in places])
        asked = np.empty((len(places), open_told().dimensions), np.float32)
        for length in np.unique(lengths).tolist():
            some = np.flatnonzero(lengths == length)
            windows = [self._window(*places[number][:2], length) for number in some.tolist()]
            asked[some] = open_told().queries(*open_encoder().states(windows, length))
        return asked

    def _window(self, sentence: int, first: int, length: int) -> tuple[list[int], int]:
        start, end = self._tokens.starts[sentence : sentence + 2].tolist()
        at = start + first
        begin = max(start, at - BESIDE)
        rows = map(self._row, self._tokens.ids[begin : min(end, at + length + BESIDE)].tolist())
        return [BEGIN, *rows, END], at - begin + 1

    def _row(self, number: int) -> int:
        word = self._tokens.words[number]
        return open_encoder().row(word, stem(word))

    def _beside(self, sentence: int, first: int, after: int) -> NDArray[np.int32]:
        start, end = self._tokens.starts[sentence], self._tokens.starts[sentence + 1]
        left = self._tokens.lemmas[max(start, start + first - _BESIDE) : start + first]
        return np.concatenate([left, self._tokens.lemmas[start + after : min(end, start + after + _BESIDE)]])

    def _without(self, sentences: Sequence[int], own: set[str]) -> Floats:
        """The sum of the words' vectors, the term's own left out."""
        total = np.zeros(self._dense.words.shape[1], np.float32)
        for sentence in sentences:
            if sentence not in self._sums:
                ids = self._ids(sentence)
                self._sums[sentence] = self._dense.words[ids].sum(0)
            total += self._sums[sentence]
            if own & self._words(sentence):
                ids = self._ids(sentence)
                mine = [number for number in ids.tolist() if self._tokens.words[number] in own]
                total -= self._dense.words[mine].sum(0)
        return total

    def _ids(self, sentence: int) -> NDArray[np.int32]:
        return self._tokens.lemmas[self._tokens.starts[sentence] : self._tokens.starts[sentence + 1]]

    def _words(self, sentence: int) -> frozenset[str]:
        if sentence not in self._content:
            words = (self._tokens.words[number] for number in self._ids(sentence).tolist())
            self._content[sentence] = frozenset(
                stem(word) for word in words if word[:1].isalpha() and word not in CLOSED_CLASSES
            )
        return self._content[sentence]


def _marks_of(tokens: Tokens) -> NDArray[np.uint64]:
    """Of each sentence a number as good as random, which only its own words make."""
    words = np.fromiter((crc32(word.encode()) for word in tokens.words), np.uint64, len(tokens.words))
    spread = words * np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio (Knuth's multiplicative hashing)
    totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum((spread ^ spread >> np.uint64(29))[tokens.ids])])
    sums = np.diff(totals[tokens.starts]) * np.uint64(0x9E3779B97F4A7C15)
    return sums ^ sums >> np.uint64(32)


def _alone(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much the sense with the most of a kind of evidence is ahead of the second; 0 for the others."""
    if evidence.shape[1] < 2:
        return np.zeros_like(evidence)
    second = np.sort(evidence, axis=1)[:, -2:-1]
    return np.maximum(evidence - second, 0.0)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _prior(lemma: str, part_of_speech: str, senses: int) -> NDArray[np.float64]:
    """(senses, 4): log of the share in WordNet's corpus, is the first, log of the place, the same if never seen."""
    counts = np.zeros(senses)
    seen = open_wordnet().counts(lemma, part_of_speech)[:senses]
    counts[: len(seen)] = seen
    place = -np.log1p(np.arange(senses))
    share = np.log((counts + 0.5) / (counts.sum() + 0.5 * senses))
    return np.stack([share, np.arange(senses) == 0, place, place * (counts.sum() < 2)], axis=1)


@lru_cache(1 << 12)
def _signature(offset: int, part_of_speech: str) -> tuple[str, ...]:
    synset = open_wordnet().synset(offset, part_of_speech)
    return tuple(word for text in (synset.gloss, *synset.examples) for word in content_words(text))


@lru_cache(1 << 12)
def _names(offset: int, part_of_speech: str) -> tuple[str, ...]:
    lemmas = open_wordnet().synset(offset, part_of_speech).lemmas
    return tuple(word for lemma in lemmas for word in content_words(lemma))


def _vectors(texts: Sequence[Sequence[str]]) -> Floats:
    """Of each text, of length 1: the sum of its words, the rarer the heavier."""
    total = np.zeros((len(texts), open_vectors().table([""]).shape[1]), np.float32)
    for row, text in enumerate(texts):
        for word in text:
            total[row] += _weighted(word)
    return unit(total)


@lru_cache(1 << 13)
def _weighted(word: str) -> Floats:
    return weigh([word])[0]


def _rarity(word: str) -> float:
    return max(0.0, 8.0 - zipf(word)) / 5


def _overlap(signature: tuple[str, ...], words: frozenset[str]) -> float:
    return sum(_rarity(word) for word in signature if word in words) / float(np.sqrt(3 + len(signature)))


def _example(offset: int, part_of_speech: str, own: set[str], near: set[str]) -> float:
    """How much of what stands beside the term stands beside it in one of the sense's examples too."""
    most = 0.0
    for example in open_wordnet().synset(offset, part_of_speech).examples:
        words = [stem(word) for word in _WORD.findall(example.lower())]
        for at, word in enumerate(words):
            if word in own:
                beside = {*words[max(0, at - 2) : at], *words[at + 1 : at + 3]}
                most = max(most, sum(_rarity(shared) + 0.1 for shared in sorted(near & beside)))
    return most
