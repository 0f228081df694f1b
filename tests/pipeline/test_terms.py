"""Stage 9 and the choice: what comes first, how many of each, and in which form a term is shown."""

from pipeline.candidates import KINDS
from pipeline.terms import counts, limit
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


def test_behind_the_first_ten_a_phrase_that_a_dictionary_has_comes_first() -> None:
    known = ("nursing home", "bone marrow", "web browser", "spinal cord", "virtual machine", "medical record")
    others = ("granite lamp", "copper door", "violet kettle", "oak ladder", "marble kitchen", "cotton chair")
    drains = ("storm drain", "rain garden", "green roof", "dry well", "water main", "pump house", "stone dam")
    text = read(
        *(f"A {drain} broke. The {drain} was old. They saw the {drain}." for drain in drains),
        *(f"They saw a {phrase} in the dark." for pair in zip(known, others, strict=True) for phrase in pair),
    )
    behind = [term for term in list(terms(text))[10:] if term in (*known, *others)]
    assert behind == sorted(behind, key=lambda term: term in others)
    assert {*behind} & {*known}
    assert {*behind} & {*others}


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


def test_capitals_are_kept_by_abbreviations_and_names_within_a_term_only() -> None:
    found = terms(read("# Pressure Valves", "A faulty AOA sensor was found as the AOA sensor failed.", "It is good."))
    assert "AOA sensor" in found
    assert "pressure valves" in found
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
