"""Stages 10 and 11: what means the same is one term, and what belongs together one topic."""

import pytest

from pipeline.graph import draw, find_topics
from pipeline.synonyms import are_antonyms, are_synonyms, collapse
from pipeline.terms import Scored
from tests.pipeline.stages import read


@pytest.mark.parametrize("pair", ["car automobile", "buy purchase", "doctor physician", "begin start", "big large"])
def test_synonyms_are(pair: str) -> None:
    a, b = pair.split()
    assert are_synonyms(a, b)
    assert are_synonyms(b, a)


@pytest.mark.parametrize(
    "pair", ["father mother", "hot cold", "increase decrease", "export import", "buy sell", "rural urban"]
)
def test_antonyms_are_never_synonyms(pair: str) -> None:
    a, b = pair.split()
    assert are_antonyms(a, b)
    assert are_antonyms(b, a)
    assert not are_synonyms(a, b)


@pytest.mark.parametrize("pair", ["bank river", "body consistency", "sewer drain", "pilot aircraft"])
def test_words_that_only_go_together_are_none(pair: str) -> None:
    a, b = pair.split()
    assert not are_synonyms(a, b)


def collapsed(*lines: str) -> dict[str, tuple[str, ...]]:
    text = read(*lines)
    return {entry.term.text: entry.variants for entry in collapse(text.ranked(), text.sentences)[0]}


def test_the_better_of_two_synonyms_stays_and_names_the_other() -> None:
    found = collapsed(
        "The physician saw the patient. A physician is careful. The physician wrote a letter.",
        "A doctor came later.",
    )
    assert found["physician"] == ("doctor",)
    assert "doctor" not in found


def test_phrases_that_differ_in_a_synonym_are_one() -> None:
    found = collapsed("The car industry grew. The car industry paid. Later the automobile industry shrank.")
    assert found["car industry"] == ("automobile industry",)


def test_an_abbreviation_is_one_with_what_the_document_explains_it_by() -> None:
    found = collapsed(
        "The combined sewer overflow (CSO) is a problem. A CSO pollutes. A combined sewer overflow is costly.",
        "Every CSO is measured.",
    )
    assert ("CSO" in found) != ("combined sewer overflow" in found)


def test_antonyms_stay_two_terms() -> None:
    found = collapsed("The rural population grew. The urban population shrank. The rural population stayed.")
    assert {"rural population", "urban population"} <= found.keys()


def ranked() -> list[Scored]:
    return read(
        "The storm drain and the combined sewer carried sewage. A storm drain broke. The sewage stank.",
        "The parliament passed a tax law. The tax law angered the parliament. A tax law was cut.",
        "The combined sewer broke. The storm drain was old, and sewage came out of the sewer.",
    ).ranked()


def test_topics_put_together_what_belongs_together_and_hold_every_term_once() -> None:
    chosen = ranked()
    topics, _ = find_topics(chosen)
    assert sorted(member for topic in topics for member in topic.members) == list(range(len(chosen)))
    texts = [entry.term.text for entry in chosen]
    of = {texts[member]: number for number, topic in enumerate(topics) for member in topic.members}
    assert of["combined sewer"] == of["sewer"] == of["storm drain"] == of["sewage"]
    assert of["tax law"] == of["tax"]
    assert of["sewage"] not in (of["tax law"], of["parliament"])


def test_a_topic_is_named_by_its_best_term_and_the_best_topic_is_first() -> None:
    chosen = ranked()
    topics, near = find_topics(chosen)
    graph = draw(chosen, topics, near, "Sewers")
    for topic, drawn in zip(topics, graph["topics"], strict=True):
        assert drawn["name"] == drawn["terms"][0] == chosen[min(topic.members)].term.text
    assert graph["topics"][0]["name"] == chosen[0].term.text


def test_edges_say_what_contains_what_and_how_near_terms_are() -> None:
    chosen = ranked()
    topics, near = find_topics(chosen)
    graph = draw(chosen, topics, near, "Sewers")
    texts = {entry.term.text for entry in chosen}
    contains = [edge for edge in graph["edges"] if edge["type"] == "contains"]
    similar = [edge for edge in graph["edges"] if edge["type"] == "similar_to"]
    assert {"source": "tax law", "target": "tax", "type": "contains", "weight": 0.5} in contains
    by_topic = [edge for edge in contains if edge["source"].startswith("topic:")]
    assert {edge["target"] for edge in by_topic} == texts
    assert similar
    assert all(0.45 <= edge["weight"] <= 1 and edge["source"] != edge["target"] for edge in similar)
    assert len({frozenset((edge["source"], edge["target"])) for edge in similar}) == len(similar)


def test_the_mind_map_is_the_topics_as_a_tree_and_as_markdown() -> None:
    chosen = ranked()
    graph = draw(chosen, *find_topics(chosen), "Sewers")
    first = graph["topics"][0]
    assert graph["mind_map"]["name"] == "Sewers"
    assert graph["mind_map"]["children"][0] == {
        "name": first["name"],
        "children": [{"name": term} for term in first["terms"][1:]],
    }
    assert graph["markdown"].startswith(f"# Sewers\n\n## {first['name']}\n- {first['terms'][1]}\n")


def test_one_term_and_none_are_topics_too() -> None:
    one = ranked()[:1]
    assert [topic.members for topic in find_topics(one)[0]] == [(0,)]
    assert find_topics([])[0] == []
    assert draw([], *find_topics([]), "Empty")["edges"] == []
