"""Trains pipeline/data/ranker.npz: what tells the terms of a document from its other phrases and words.

    pip install -r bench/requirements.txt
    python bench/train_ranker.py FOLDER

FOLDER holds JSON Lines, gzipped, of documents whose terms people have chosen: {"id", "text", "keyphrases": [...]}; each
file is a set. Each set is halved by its ids. A ranker is trained on one half of all sets and measured on the other,
and the other way round; the figures are macro F1 of the first ten terms, after stemming. What is written is trained on
both halves. Logistic regression on vectors of words gives one feature; boosted trees, each with the same question at
all places of a level (as in CatBoost), do the rest. Takes about five minutes.
"""

import argparse
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import snowballstemmer

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline import bm25
from pipeline.context import find_sentences
from pipeline.dense import embed
from pipeline.errors import BadDocument
from pipeline.headings import find_headings
from pipeline.ingestion import read_text
from pipeline.merge import merge
from pipeline.phrases import NOUN_PHRASE, SINGLE_WORD, find_phrases
from pipeline.scoring import MODEL, Ranker, describe, termhood
from pipeline.tokens import make_tokens
from pipeline.words import find_words

TREES, DEPTH, RATE, BINS, FEATURES = 250, 5, 0.08, 24, 0.4
RIDGE = 30.0  # of the logistic regression
OTHERS = 250  # of a document's candidates that are no terms so many are learned from
FOLDS = 4  # the regression's feature is told by those that have not seen the document
WEIGHTS = {"abstracts": 4.0, "paragraphs": 2.0, "news": 1.5, "papers": 0.5}  # longer documents have more candidates


@dataclass
class Document:
    """A document's candidates: features, vectors, whether people chose each; and how many they chose in all."""

    half: int
    weight: float
    rows: np.ndarray
    vectors: np.ndarray
    stems: list[str]
    chosen: np.ndarray
    gold: set[str]


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the ranker.")
    parser.add_argument("folder", type=Path)
    sets = {path.name.partition(".")[0]: list(read(path)) for path in sorted(parser.parse_args().folder.glob("*.jsonl.gz"))}
    for half in (0, 1):
        learn([document for documents in sets.values() for document in documents if document.half == half])
        for name, documents in sets.items():
            print(f"trained on half {half}: {name:12}", *(f"half {part}: {f1(documents, part):5.1f}" for part in (0, 1)), flush=True)
    learn([document for documents in sets.values() for document in documents])
    print("written, trained on both:", {name: round(f1(documents, None), 1) for name, documents in sets.items()})


def read(path: Path) -> Iterator[Document]:
    """The documents of a set, with their candidates."""
    name = path.name.partition(".")[0]
    rows = [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]
    for row in rows:
        try:
            document, _ = find_headings(read_text(row["text"]))
        except BadDocument:
            continue
        sentences = find_sentences(document)
        tokens = make_tokens(sentences)
        phrases = find_phrases(tokens, lambda _: None)
        merged = merge(tokens, [phrases.only(bm25.borne_out(tokens, phrases)), find_words(tokens)])
        features, vectors, _ = describe(tokens, merged, embed(tokens))
        found = merged.candidates
        main_kinds = np.flatnonzero((found.kinds == NOUN_PHRASE) | (found.kinds == SINGLE_WORD))
        gold = {stemmed(phrase) for phrase in row["keyphrases"]}
        stems, chosen = [], []
        for number in main_kinds.tolist():
            forms = []
            for place in range(found.bounds[number], min(found.bounds[number] + 4, found.bounds[number + 1])):
                at, last = found.at[place], found.after[place] - 1
                sentence, first = sentences[tokens.sentence[at]], tokens.starts[tokens.sentence[at]]
                end = sentence.starts[last - first] + len(sentence.tokens[last - first])
                forms.append(stemmed(sentence.text[sentence.starts[at - first] : end]))
            stems.append(max(sorted(set(forms)), key=forms.count))
            chosen.append(not gold.isdisjoint(forms))
        yield Document(
            zlib.crc32(str(row["id"]).encode()) % 2, WEIGHTS.get(name, 1.0) / len(rows), features[main_kinds],
            vectors[main_kinds].astype(np.float32), stems, np.array(chosen, bool), gold - {""},
        )  # fmt: skip


@cache
def _stem(word: str) -> str:
    return snowballstemmer.stemmer("porter").stemWord(word)


def stemmed(phrase: str) -> str:
    """As phrases are compared: in small letters, without signs, each word stemmed."""
    return " ".join(map(_stem, re.findall(r"[^\W_]+", phrase.lower())))


def f1(documents: list[Document], half: int | None) -> float:
    """Of the written ranker, in percent; of one half or of all."""
    ranker, results = Ranker(MODEL), []
    for document in documents:
        if half in (None, document.half):
            order = np.argsort(-ranker(document.rows, document.vectors), kind="stable") if document.stems else []
            first = list(dict.fromkeys(document.stems[number] for number in order if document.stems[number]))[:10]
            right = len(document.gold.intersection(first))
            results.append(2 * right / (len(first) + len(document.gold)) if first else 0.0)
    return 100 * float(np.mean(results))


def learn(documents: list[Document]) -> None:
    """Train on these documents, and write the weights."""
    chance = np.random.default_rng(1)
    documents = [document for document in documents if document.chosen.any()]
    samples = [_sample(document, chance) for document in documents]
    rows, vectors, chosen, weights = (np.concatenate(column) for column in zip(*samples, strict=True))
    folds = np.repeat(np.arange(len(samples)) % FOLDS, [len(sample[0]) for sample in samples])
    weights /= weights.mean()
    hoods = np.zeros(len(rows), np.float32)
    for fold in range(FOLDS):
        seen = folds != fold
        by_vector = regress(rows[seen], vectors[seen], chosen[seen], weights[seen])
        hoods[~seen] = termhood(rows[~seen], vectors[~seen], by_vector)
    trees = boost(np.concatenate([rows, hoods[:, None]], axis=1), chosen, weights, chance)
    by_vector = regress(rows, vectors, chosen, weights)
    np.savez_compressed(MODEL, vector_weights=by_vector, **trees)


def _sample(document: Document, chance: np.random.Generator) -> tuple[np.ndarray, ...]:
    chosen = document.chosen
    kept = chosen | (chance.random(len(chosen)) < OTHERS / len(chosen))
    # Those kept stand for those left out.
    others = (~chosen).sum() / max((~chosen & kept).sum(), 1)
    weights = np.where(chosen, 1.0, others) * document.weight / np.sqrt(len(chosen))
    return document.rows[kept], document.vectors[kept], chosen[kept].astype(np.float64), weights[kept]


def regress(rows: np.ndarray, vectors: np.ndarray, chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights for `scoring.termhood`, by Newton's method."""
    single = rows[:, [10]] == 1
    columns = np.concatenate([vectors * single, vectors * ~single, np.ones((len(rows), 1))], axis=1).astype(np.float64)
    result = np.zeros(columns.shape[1])
    for _ in range(8):
        share = 1 / (1 + np.exp(-columns @ result))
        slope = columns.T @ (weights * (chosen - share)) - RIDGE * result
        bend = (columns * (weights * share * (1 - share))[:, None]).T @ columns + RIDGE * np.eye(len(result))
        result += np.linalg.solve(bend, slope)
    return result.astype(np.float32)


def boost(rows: np.ndarray, chosen: np.ndarray, weights: np.ndarray, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Trees by gradient boosting with logistic loss."""
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in rows.T]
    bins = [np.searchsorted(edge, column, side="left") for edge, column in zip(edges, rows.T, strict=True)]
    total = np.full(len(rows), np.log((weights * chosen).sum() / (weights * (1 - chosen)).sum()))
    ridge = 0.0005 * weights.sum()
    features, thresholds, leaves = [], [], []
    for _ in range(TREES):
        share = 1 / (1 + np.exp(-total))
        slope, bend = weights * (chosen - share), weights * share * (1 - share)
        place = np.zeros(len(rows), np.int64)
        questions = []
        for depth in range(DEPTH):
            asked = [
                (*_best_split(place * BINS + bins[feature], slope, bend, 1 << depth, len(edges[feature]), ridge), feature)
                for feature in chance.choice(len(edges), int(FEATURES * len(edges)), replace=False)
                if len(edges[feature])
            ]
            _, at, feature = max(asked)
            questions.append((feature, edges[feature][at]))
            place = 2 * place + (bins[feature] > at)
        count = 1 << DEPTH
        values = RATE * np.bincount(place, slope, count) / (np.bincount(place, bend, count) + ridge)
        total += values[place]
        features.append([feature for feature, _ in questions])
        thresholds.append([threshold for _, threshold in questions])
        leaves.append(values)
    leaves[0] += np.log((weights * chosen).sum() / (weights * (1 - chosen)).sum())
    return {
        "features": np.array(features, np.int16),
        "thresholds": np.array(thresholds, np.float32),
        "leaves": np.array(leaves, np.float32),
    }


def _best_split(
    cells: np.ndarray, slope: np.ndarray, bend: np.ndarray, leaves: int, splits: int, ridge: float
) -> tuple[float, int]:
    slopes = np.bincount(cells, slope, leaves * BINS).reshape(leaves, BINS).cumsum(1)
    bends = np.bincount(cells, bend, leaves * BINS).reshape(leaves, BINS).cumsum(1)
    left, left_bend = slopes[:, :splits], bends[:, :splits]
    gain = left**2 / (left_bend + ridge) + (slopes[:, -1:] - left) ** 2 / (bends[:, -1:] - left_bend + ridge)
    return float(gain.sum(0).max()), int(gain.sum(0).argmax())


if __name__ == "__main__":
    main()
