"""Parts of speech: sentences tagged by hand, and what the search must do whatever the weights are."""

import itertools

import numpy as np
import pytest

from pipeline.tagger import MODEL, TAGS, Tagger, open_tagger


def tags(*sentences: str) -> list[str]:
    """Of each sentence, its tags as letters."""
    split = [sentence.split() for sentence in sentences]
    words = sorted({word for sentence in split for word in sentence})
    ids = np.array([words.index(word) for sentence in split for word in sentence], np.int32)
    starts = np.cumsum([0, *map(len, split)])
    found = "".join(TAGS[tag] for tag in open_tagger().tag(words, ids, starts))
    return [found[begin:end] for begin, end in itertools.pairwise(starts.tolist())]


@pytest.mark.parametrize(
    ("sentence", "by_hand"),
    [
        ("The old pumps supply the whole city .", "DJNVDJNU"),
        ("They record a record of every change .", "OVDNIDNU"),
        ("A combined sewer can fail after heavy rain .", "DGNXVIJNU"),
        ("We will run quickly , and the run will end .", "OXVRUCDNXVU"),
        ("Maria met Peter in Paris .", "PVPIPU"),
        ("It was built because 3 bridges had failed .", "OXVSMNXVU"),
        ("He turned the light off .", "OVDNIU"),
    ],
)
def test_sentences_are_tagged_as_by_hand(sentence: str, by_hand: str) -> None:
    assert tags(sentence) == [by_hand]


def test_a_sentence_is_tagged_alike_alone_and_among_others() -> None:
    sentences = ["The run ended .", "They run .", "", "Run !", "The old pumps supply the whole city in May ."]
    assert tags(*sentences) == [tags(sentence)[0] if sentence else "" for sentence in sentences]


def test_nothing_and_what_no_training_has_seen_get_tags_too() -> None:
    assert tags("") == [""]
    assert len(tags("ẞẞẞ 漢字 \u200b x̱ 𝔘")[0]) == 5


def test_the_search_finds_the_best_of_all_sequences() -> None:
    tagger = Tagger(MODEL)
    chance = np.random.default_rng(3)
    # The first tags only, so that all sequences can be tried.
    tagger.transitions = chance.normal(size=tagger.transitions.shape).astype(np.float32)
    tagger.transitions[4:] = tagger.transitions[:, 4:] = -100
    scores = chance.normal(size=(7, len(TAGS))).astype(np.float32)
    scores[:, 4:] = -100

    def worth(sequence: tuple[int, ...], begin: int) -> float:
        own = sum(scores[begin + place, tag] for place, tag in enumerate(sequence))
        return float(own + sum(tagger.transitions[pair] for pair in itertools.pairwise(sequence)))

    found = tagger._search(scores, np.array([0, 4, 4, 7]))
    for begin, end in ((0, 4), (4, 7)):
        best = max(itertools.product(range(4), repeat=end - begin), key=lambda sequence: worth(sequence, begin))
        assert tuple(found[begin:end].tolist()) == best
