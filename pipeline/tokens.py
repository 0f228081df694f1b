"""Stage 4 and later work on a document's tokens as columns: numbers in numpy arrays, not an object for each.

Makes the columns from sentences: different words, their parts of speech, capitals, places. Of more different words
than any real document has, the rarest are not looked at and counted. It finds no terms.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.context import HEADING, SENTENCE, Sentence
from pipeline.english import base_form
from pipeline.tagger import TAGS, open_tagger
from pipeline.wordnet import NOUN, VERB, open_wordnet

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Ids = NDArray[np.int32]

VOCABULARY = 150_000  # different words that are looked at: a document of a million words has a third of that
_LONGEST_WORD = 60  # characters
SMALL, CAPITAL, CAPITALS = 0, 1, 2  # how a token is written; the last: with more than one capital

_WORD = re.compile(r"[A-Za-zÀ-ɏ][A-Za-z0-9À-ɏ]*(?:[-'’/&.][A-Za-z0-9À-ɏ]+)*")
_FIRST_LETTERS = re.compile(r"(?:^|-)\w")  # "New-York" has two


@dataclass(frozen=True, slots=True)
class Tokens:
    """A column has an entry for each token, unless it says otherwise.

    words: the different words and their base forms in lower case; words[0] is "", for what is not looked at. ids:
    places in `words`. lemmas: those of the base forms, which nouns and verbs have. tags: places in `tagger.TAGS`.
    case: SMALL, CAPITAL, CAPITALS. sentence: which it stands in. starts: of each sentence the place of its first
    token, and the end. headings: of each sentence, whether it is one.
    clean: whether terms may stand there: not in a form's labels, a table's row, program code.
    """

    words: list[str]
    ids: Ids
    lemmas: Ids
    tags: NDArray[np.uint8]
    case: NDArray[np.uint8]
    sentence: Ids
    starts: Numbers
    headings: Flags
    clean: Flags
    rare_words: int

    def __len__(self) -> int:
        return len(self.ids)

    def tagged(self, letters: str) -> Flags:
        """Whether each token has one of these tags."""
        return tag_set(letters)[self.tags]

    def of_words(self, holds: Callable[[str], bool]) -> Flags:
        """For each token, whether its word, which is asked once, is such a one."""
        return np.fromiter(map(holds, self.words), bool, len(self.words))[self.ids]


def tag_set(letters: str) -> Flags:
    """A table from a tag's place in TAGS to whether it is one of these."""
    return np.array([tag in letters for tag in TAGS])


def is_word(word: str) -> bool:
    """Letters, from two on, with figures and signs only inside."""
    return 1 < len(word) <= _LONGEST_WORD and bool(_WORD.fullmatch(word))


def make_tokens(sentences: Sequence[Sentence]) -> Tokens:
    """The columns of all sentences."""
    numbers: dict[str, int] = {}
    lengths = np.fromiter((len(sentence.tokens) for sentence in sentences), np.int64, len(sentences))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = chain.from_iterable(sentence.tokens for sentence in sentences)
    spelled = np.fromiter((numbers.setdefault(token, len(numbers)) for token in flat), np.int32, int(starts[-1]))
    rare = max(0, len(numbers) - VOCABULARY)
    if rare:
        spelled, numbers = _commonest(spelled, numbers)
    written = list(numbers)
    tags = open_tagger().tag(written, spelled, starts)
    words = {"": 0}
    low = np.fromiter((words.setdefault(word.lower(), len(words)) for word in written), np.int32, len(written))
    letters = np.fromiter((word[:1].isalpha() for word in written), bool, len(written))[spelled]
    case = np.fromiter(map(_case, written), np.uint8, len(written))[spelled]
    sentence = np.repeat(np.arange(len(sentences), dtype=np.int32), lengths)
    whole = np.fromiter((entry.kind == SENTENCE for entry in sentences), bool, len(sentences))
    # A line that is mostly figures, or that shouts and is no sentence.
    shouts = _share(letters & (case == CAPITALS), sentence, lengths) > 0.6 * _share(letters, sentence, lengths)
    clean = (_share(letters, sentence, lengths) >= 0.6) & (whole | ~shouts)
    ids = low[spelled]
    # The tagger takes "The industry grew." for a heading of nouns.
    only_verbs = np.fromiter(map(_is_verb_only, words), bool, len(words))[ids]
    tags[only_verbs & tag_set("N")[tags] & (case == SMALL)] = TAGS.index("V")
    lemmas = _base_forms(words, ids, tags)
    headings = np.fromiter((entry.kind == HEADING for entry in sentences), bool, len(sentences))
    return Tokens(list(words), ids, lemmas, tags, case, sentence, starts, headings, clean[sentence], rare)


def _is_verb_only(word: str) -> bool:
    lemmas = open_wordnet().lemmas
    return not word.endswith("ing") and bool(lemmas(word, VERB)) and not lemmas(word, NOUN)


def _commonest(spelled: Ids, numbers: dict[str, int]) -> tuple[Ids, dict[str, int]]:
    counts = np.bincount(spelled, minlength=len(numbers))
    kept = np.sort(np.argsort(-counts, kind="stable")[:VOCABULARY])
    words = list(numbers)
    places = np.zeros(len(words), np.int32)
    places[kept] = np.arange(1, len(kept) + 1)
    return places[spelled], {"": 0} | {words[number]: place for place, number in enumerate(kept, 1)}


def _base_forms(words: dict[str, int], ids: Ids, tags: NDArray[np.uint8]) -> Ids:
    """Of each token; new ones are added to `words`."""
    written = list(words)
    lemmas = ids.copy()
    for letters, part in (("NP", NOUN), ("VG", VERB)):
        where = tag_set(letters)[tags]
        table = np.arange(len(written), dtype=np.int32)
        for number in np.unique(ids[where]).tolist():
            base = base_form(written[number], part)
            table[number] = words.setdefault(base, len(words))
        lemmas[where] = table[ids[where]]
    return lemmas


def _case(word: str) -> int:
    if not word[:1].isupper():
        return CAPITALS if any(map(str.isupper, word)) else SMALL
    return CAPITALS if any(map(str.isupper, _FIRST_LETTERS.sub("", word))) else CAPITAL


def _share(flags: Flags, sentence: Ids, lengths: Numbers) -> NDArray[np.float64]:
    return np.bincount(sentence, flags, len(lengths)) / np.maximum(lengths, 1)
