"""Stage 11: the chosen terms as a graph, and as a mind map.

Terms that are near each other - by their vectors, by shared words, by sentences that hold both - form topics, each
named by its best term (average linkage). Edges: a topic `contains` its terms and a longer term a shorter one; terms are
`similar_to` those nearest to them. It looks at chosen terms only and adds none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dense import open_vectors, unit
from pipeline.english import CLOSED_CLASSES
from pipeline.terms import Scored

_APART = 0.34  # nearness below which topics are not put together
_LARGEST = 12  # terms of a topic
_SIMILAR, _MOST_SIMILAR = 0.45, 3  # nearness that makes an edge, and edges of a term
_MOST = 400  # terms, each compared with each; those behind form a topic of their own
_WEIGHTS = {"vectors": 0.5, "words": 0.35, "sentences": 0.35}

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Topic:
    """`members`: places in the list of terms, the best first, which names it."""

    members: tuple[int, ...]


def find_topics(chosen: Sequence[Scored]) -> tuple[list[Topic], Matrix]:
    """Topics, that with the best term first, and how near terms are to each other, 0 to 1."""
    near = _nearness(chosen[:_MOST])
    groups = [[number] for number in range(len(near))]
    between = near.copy()
    np.fill_diagonal(between, -1.0)
    while len(groups) > 1:
        at = int(between.argmax())
        one, two = sorted(divmod(at, len(groups)))
        if between[one, two] < _APART:
            break
        if len(groups[one]) + len(groups[two]) > _LARGEST:
            between[one, two] = between[two, one] = -1.0
            continue
        sizes = len(groups[one]), len(groups[two])
        joined = (between[one] * sizes[0] + between[two] * sizes[1]) / sum(sizes)
        joined[(between[one] < 0) | (between[two] < 0)] = -1.0
        between[one], between[:, one] = joined, joined
        between[one, one] = -1.0
        groups[one] += groups.pop(two)
        between = np.delete(np.delete(between, two, 0), two, 1)
    groups = sorted(sorted(group) for group in groups)
    alone = [group[0] for group in groups if len(group) == 1]
    if len(chosen) > _MOST:
        alone += range(_MOST, len(chosen))
    topics = [Topic(tuple(group)) for group in groups if len(group) > 1]
    return topics + [Topic((number,)) for number in alone], near


def draw(chosen: Sequence[Scored], topics: Sequence[Topic], near: Matrix, title: str) -> dict[str, Any]:
    """The graph: topics, edges by the terms' texts, and the mind map as a tree and as Markdown."""
    texts = [entry.term.text for entry in chosen]
    edges: list[dict[str, Any]] = []
    for number, topic in enumerate(topics):
        for member in topic.members:
            weight = chosen[member].score / (chosen[topic.members[0]].score or 1.0)
            edges.append(_edge(f"topic:{number}", texts[member], "contains", min(weight, 1.0)))
    keys = {entry.term.candidate.key: number for number, entry in enumerate(chosen)}
    for number, entry in enumerate(chosen):
        key = entry.term.candidate.key
        inner = {key[i:j] for i in range(len(key)) for j in range(i + 1, len(key) + 1)} - {key}
        for part in sorted(inner & keys.keys()):
            edges.append(_edge(texts[number], texts[keys[part]], "contains", len(part) / len(key)))
    nearest = np.argsort(-near, axis=1, kind="stable")[:, : _MOST_SIMILAR + 1].tolist()
    pairs = {(min(one, two), max(one, two)) for one, others in enumerate(nearest) for two in others if one != two}
    for one, two in sorted(pairs):
        if near[one, two] >= _SIMILAR:
            edges.append(_edge(texts[one], texts[two], "similar_to", float(near[one, two])))
    names = [texts[topic.members[0]] for topic in topics]
    leaves = [[texts[member] for member in topic.members[1:]] for topic in topics]
    lines = [f"# {title}"]
    for name, below in zip(names, leaves, strict=True):
        lines += ["", f"## {name}", *(f"- {leaf}" for leaf in below)]
    branches = [
        {"name": name, "children": [{"name": leaf} for leaf in below]}
        for name, below in zip(names, leaves, strict=True)
    ]
    return {
        "topics": [
            {"id": number, "name": name, "terms": [name, *below]}
            for number, (name, below) in enumerate(zip(names, leaves, strict=True))
        ],
        "edges": edges,
        "mind_map": {"name": title, "children": branches},
        "markdown": "\n".join(lines) + "\n",
    }


def _edge(source: str, target: str, kind: str, weight: float) -> dict[str, Any]:
    return {"source": source, "target": target, "type": kind, "weight": round(weight, 3)}


def _nearness(chosen: Sequence[Scored]) -> Matrix:
    words = [[word for word in entry.term.candidate.key if word not in CLOSED_CLASSES] for entry in chosen]
    vocabulary = sorted({word for these in words for word in these})
    place = {word: number for number, word in enumerate(vocabulary)}
    holds = np.zeros((len(chosen), len(vocabulary)))
    for number, these in enumerate(words):
        holds[number, [place[word] for word in these]] = 1.0
    vectors = (
        unit((holds @ open_vectors().table(vocabulary)).astype(np.float32)).astype(np.float64) if vocabulary else holds
    )
    shared = holds @ holds.T / np.maximum(np.minimum.outer(holds.sum(1), holds.sum(1)), 1.0)
    standing = [{number for number, _, _ in entry.term.candidate.places} for entry in chosen]
    both = np.array([[len(one & two) / max(min(len(one), len(two)), 1) for two in standing] for one in standing])
    parts = {"vectors": np.maximum(vectors @ vectors.T, 0.0), "words": shared, "sentences": both.reshape(shared.shape)}
    return np.minimum(sum(_WEIGHTS[name] * part for name, part in parts.items()), 1.0)
