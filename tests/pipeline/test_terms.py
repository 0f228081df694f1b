"""Stage 9 and the choice: what comes first, how many of each, and in which form a term is shown."""

import numpy as np

from pipeline.candidates import KINDS
from pipeline.scoring import Scores
from pipeline.terms import counts, in_subject, limit, rank
from tests.pipeline.stages import Text, read

CITY = (
    "# Storm drains and sewers",
    "A storm drain carries rain to the river. The storm drain was built in May. In spite of that, each storm drain"
    " broke, and people took a decision at last.",
    "People drink tea in a nice garden. They took the decision to look up the turbid sewage at the pumping station,"
    " which mitigates floods.",
    "The combined sewer is old, in contrast to the storm drain. A combined sewer overflowed. They looked up a word.",
)


def terms(text: Text, **most: int) -> dict[str, str]:
    """The chosen terms with their kinds, the best first."""
    return {entry.term.text: entry.term.candidate.kind for entry in text.ranked(**most)}


def test_what_is_frequent_here_rare_in_english_and_in_a_heading_comes_first() -> None:
    ranked = list(terms(read(*CITY)))
    assert ranked[0] == "storm drain"
    assert ranked.index("combined sewer") < 6
    assert "garden" not in ranked[:10]


def test_a_learner_gets_more_than_noun_phrases() -> None:
    found = terms(read(*CITY), max_phrases=40)
    assert found["look up"] == "phrasal verb"
    assert found["took the decision"] == "collocation"
    assert "linking phrase" in (found.get("in spite of"), found.get("in contrast to"))
    assert "word" in found.values()


def test_no_more_are_chosen_than_asked_for() -> None:
    text = read(*CITY)
    for phrases, words in ((2, 1), (0, 3), (5, 0), (0, 0)):
        types = [entry.term.candidate.type for entry in text.ranked(phrases, words)]
        assert (types.count("phrase"), types.count("word")) == (phrases, words)


FIRST = ("lamp", "door", "river", "garden", "ladder", "kettle", "chair", "window", "bridge", "tower")
UNKNOWN = ("granite roof", "copper wall", "violet cellar", "oak house", "marble kitchen", "cotton bag")


def behind_the_first(phrases: tuple[str, ...], *sentences: str) -> list[str]:
    """How phrases are ranked of which the scores fall, behind ten words with higher ones."""
    text = read(*(f"They saw the {word} again." for word in FIRST), *sentences)
    scores = np.zeros(len(text.merged.candidates), np.float32)
    for number, key in enumerate(text.merged.candidates.keys):
        name = " ".join(key)
        scores[number] = 0.9 if name in FIRST else 0.5 - 0.01 * phrases.index(name) if name in phrases else 0.0
    ranked = rank(text.tokens, text.sentences, text.merged, Scores(scores, np.zeros(len(scores), np.int64)), 40, 10)
    return [entry.term.text for entry in ranked if entry.term.text.lower() in phrases]


def test_behind_the_first_ten_two_of_three_phrases_are_in_a_dictionary_while_there_are_any() -> None:
    known = ("nursing home", "bone marrow", "web browser", "spinal cord", "social worker")
    phrases = (*UNKNOWN, *known)
    ranked = behind_the_first(phrases, *(f"They saw a {phrase} in the dark." for phrase in phrases))
    assert ranked == [
        *("nursing home", "bone marrow", "granite roof", "web browser", "spinal cord", "copper wall"),
        *("social worker", "violet cellar", "oak house", "marble kitchen", "cotton bag"),
    ]


def test_behind_the_first_ten_a_phrase_that_the_document_defines_counts_as_known() -> None:
    defined = "A marble kitchen is a room in which food is cooked on slabs of stone."
    ranked = behind_the_first(UNKNOWN, *(f"They saw a {phrase} in the dark." for phrase in UNKNOWN), defined)
    assert ranked[:2] == ["marble kitchen", "granite roof"]


def test_of_phrases_without_a_meaning_few_have_the_same_head() -> None:
    phrases = ("granite roof", "copper roof", "violet roof", "oak roof", "marble kitchen")
    ranked = behind_the_first(phrases, *(f"They saw a {phrase} in the dark." for phrase in phrases))
    assert ranked == ["granite roof", "copper roof", "marble kitchen", "violet roof", "oak roof"]


def test_a_piece_of_a_longer_phrase_counts_less() -> None:
    phrases = ("marble kitchen", "copper wall")
    pieces = (f"They saw a marble kitchen {thing} in the dark." for thing in ("cellar", "roof", "bag", "house"))
    assert behind_the_first(phrases, *pieces, "They saw a copper wall.", "The copper wall fell.")[0] == "copper wall"


def test_a_name_and_what_stands_in_no_whole_sentence_count_less() -> None:
    phrases = ("silver gate", "copper wall", "marble kitchen")
    lines = ("They saw the Silver Gate.", "a copper wall in the dark", "They saw a marble kitchen.")
    assert behind_the_first(phrases, *lines) == ["marble kitchen", "Silver Gate", "copper wall"]


def test_a_phrasal_verb_needs_a_whole_sentence_that_can_be_read_at_once() -> None:
    long = "They carried out the plan " + "and the man of the house sat by the sea in the sun " * 5 + "again."
    assert "carried out" not in terms(read(long))
    assert "carried out" not in terms(read("those who carried out the plan"))
    assert "carried out" in terms(read("They carried out the plan."))


def test_of_collocations_an_idiom_comes_first_and_two_nouns_are_none() -> None:
    lines = ("We carry the stones. They carry the stones.", "They take advantage of it. They take advantage of him.")
    found = [term for term, kind in terms(read(*lines)).items() if kind == "collocation"]
    assert found == ["take advantage", "carry the stones"]
    lines = ("They report the codes. We report the codes.", "The report code is old. They saw a report code.")
    assert "report the codes" in terms(read(lines[0]))
    assert "report the codes" not in terms(read(*lines))


def test_an_entry_of_a_subject_that_the_document_does_not_speak_of_is_none() -> None:
    dates = read("The time value of a row is kept in the table.").tokens
    music = read("The time value of a note is kept in the music.").tokens
    assert not in_subject("time value", "noun", dates)
    assert in_subject("time value", "noun", music)
    assert in_subject("spring", "noun", dates)


def test_a_collocation_has_a_noun_that_can_be_explained_and_no_pointing_word() -> None:
    lines = ("They tested the florbix. They tested the florbix.", "We enforce this law. He enforces this law.")
    found = terms(read(*lines))
    assert not {"tested the florbix", "enforce this law"} & found.keys()
    assert "enforce the law" in terms(read("They enforce the law. They enforce the law."))


def test_a_collocation_is_shown_with_the_base_form_of_its_verb_if_it_stands_so_in_the_document() -> None:
    often = "They began assigning the codes. He started assigning the codes. She likes assigning the codes."
    assert "assign the codes" in terms(read(f"They will assign the codes each day. {often}"))


def test_scores_fall_and_no_term_comes_twice() -> None:
    ranked = read(*CITY).ranked()
    scores = [entry.score for entry in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    texts = [entry.term.text.lower() for entry in ranked]
    assert len(set(texts)) == len(texts)
    assert limit([*ranked, *ranked], 40, 10) == ranked


def test_a_fragment_of_a_phrase_that_never_stands_alone_is_no_term() -> None:
    found = terms(read("The waste water treatment plant was built. A waste water treatment plant is large."))
    assert "waste water treatment plant" in found
    assert not {"water treatment plant", "waste water treatment", "water treatment"} & found.keys()


def test_the_base_form_is_shown_if_the_document_uses_it_and_else_the_commonest_there() -> None:
    assert "storm drain" in terms(read("A storm drain is small. Two storm drains were full. Storm drains were cut."))
    found = terms(read("The storm drains were full of leaves."))
    assert "storm drains" in found
    assert "storm drain" not in found


def test_a_base_form_that_is_rare_is_not_shown() -> None:
    often = "They saw the storm drains again. " * 25
    assert "storm drains" in terms(read(f"A storm drain is here. They fell into a storm drain. {often}"))
    assert "storm drain" in terms(read(f"A storm drain is here. They fell into a storm drain. {often[:300]}"))


def test_capitals_are_kept_by_abbreviations_and_names_within_a_term_only() -> None:
    found = terms(read("# Pressure Valves", "A faulty AOA sensor was found as the AOA sensor failed.", "It is good."))
    assert "AOA sensor" in found
    assert "pressure valves" in found
    assert "rule of law" in terms(read("They feared the RULE OF LAW more than the law."))
    assert "Bayesian network" in terms(read("We train a Bayesian network, and the Bayesian network was good."))


def test_every_term_says_where_it_stands() -> None:
    text = read(*CITY)
    for entry in text.ranked():
        assert entry.term.candidate.frequency == len(entry.term.candidate.places) > 0
        for number, first, last in entry.term.candidate.places:
            sentence = text.sentences[number]
            written = sentence.text[sentence.starts[first] : sentence.starts[last - 1] + len(sentence.tokens[last - 1])]
            assert len(written.split()) == last - first
        assert entry.term.text.lower() in " ".join(sentence.text for sentence in text.sentences).lower()


def test_the_report_counts_each_kind() -> None:
    ranked = read(*CITY).ranked()
    found = counts(ranked)
    assert list(found) == [f"{kind}s".replace(" ", "_") for kind in KINDS]
    assert sum(found.values()) == len(ranked)
