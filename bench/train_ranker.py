"""Trains pipeline/data/ranker.npz: what tells the terms of a document from its other phrases and words.

    pip install -r bench/requirements.txt
    python bench/train_ranker.py FOLDER

FOLDER holds documents whose terms people have chosen (keyphrases.py). A ranker is trained without 100 of each set,
those that bench/pipeline.py measures, and measured on both; the figures are macro F1 of the first ten. What is written
is trained on all. Logistic regression on vectors of words gives one feature; boosted trees, each with the same question
at all places of a level (as in CatBoost), do the rest. Takes about five minutes.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keyphrases import Document, f1, read, sample, stemmed

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline import bm25
from pipeline.candidates import NOUN_PHRASE, SINGLE_WORD, Candidates
from pipeline.context import Sentence, find_sentences
from pipeline.dense import embed
from pipeline.errors import BadDocument
from pipeline.features import WORDS, describe
from pipeline.headings import find_headings
from pipeline.ingestion import read_text
from pipeline.merge import merge
from pipeline.phrases import find_phrases
from pipeline.scoring import MODEL, Ranker, termhood
from pipeline.tokens import Tokens, make_tokens
from pipeline.words import find_words

TREES, DEPTH, RATE, BINS, FEATURES = 300, 6, 0.08, 24, 0.3
RIDGE = 30.0  # of the logistic regression
OTHERS = 250  # of a document's candidates that are no terms so many are learned from
FOLDS = 4  # the regression's feature is told by those that have not seen the document
WEIGHTS = {"abstracts": 4.0, "paragraphs": 2.0, "news": 1.5, "papers": 0.5}  # longer documents have more candidates


@dataclass
class Described:
    """A document's noun phrases and words: features, vectors, stems, and whether people chose each. `weight`: of the
    document among all."""

    document: Document
    weight: float
    rows: np.ndarray
    vectors: np.ndarray
    stems: list[str]
    chosen: np.ndarray


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the ranker.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hold-out", action="store_true", help="write what has not seen the 100 drawn of each set")
    options = parser.parse_args()
    sets = read(options.folder)
    drawn = {name: {each.id for each in sample(documents, 100)} for name, documents in sets.items()}
    described = {
        name: [describe_document(document, WEIGHTS.get(name, 1.0) / len(documents)) for document in documents]
        for name, documents in sets.items()
    }
    others = {
        name: [each for each in these if each.document.id not in drawn[name]] for name, these in described.items()
    }
    learn([each for these in others.values() for each in these])
    for name, these in described.items():
        unseen = [each for each in these if each.document.id in drawn[name]]
        print(f"{name:12} seen {measure(others[name]):5.1f}, unseen {measure(unseen):5.1f}", flush=True)
    if not options.hold_out:
        learn([each for these in described.values() for each in these])


def describe_document(document: Document, weight: float) -> Described:
    """What the pipeline's stages make of it before they rank."""
    nothing = Described(document, weight, np.empty((0, 0), np.float32), np.empty((0, 0)), [], np.empty(0, bool))
    try:
        whole, _ = find_headings(read_text(document.text))
    except BadDocument:
        return nothing
    sentences = find_sentences(whole)
    tokens = make_tokens(sentences)
    phrases = find_phrases(tokens, lambda _: None)
    merged = merge(tokens, [phrases.only(bm25.borne_out(tokens, phrases)), find_words(tokens)])
    found = merged.candidates
    if not len(found):
        return nothing
    kept = np.flatnonzero((found.kinds == NOUN_PHRASE) | (found.kinds == SINGLE_WORD))
    rows, vectors, _ = describe(tokens, found, merged.names, embed(tokens))
    written = [list(stems(sentences, tokens, found, number)) for number in kept.tolist()]
    chosen = np.array([not document.gold.isdisjoint(forms) for forms in written], bool)
    commonest = [max(sorted(set(forms)), key=forms.count) for forms in written]
    return Described(document, weight, rows[kept], vectors[kept], commonest, chosen)


def stems(sentences: list[Sentence], tokens: Tokens, found: Candidates, number: int) -> Iterator[str]:
    """A candidate's first occurrences as they are written."""
    begin, end = found.bounds[number], found.bounds[number + 1]
    for place in range(begin, min(begin + 4, end)):
        which = tokens.sentence[found.at[place]]
        sentence = sentences[which]
        first, last = found.at[place] - tokens.starts[which], found.after[place] - 1 - tokens.starts[which]
        yield stemmed(sentence.text[sentence.starts[first] : sentence.starts[last] + len(sentence.tokens[last])])


def measure(described: list[Described]) -> float:
    """F1 of the written ranker, in percent."""
    ranker, found = Ranker(MODEL), []
    for each in described:
        order = np.argsort(-ranker(each.rows, each.vectors), kind="stable").tolist() if each.stems else []
        found.append([each.stems[number] for number in order])
    return f1([each.document for each in described], found)


def learn(documents: list[Described]) -> None:
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


def _sample(document: Described, chance: np.random.Generator) -> tuple[np.ndarray, ...]:
    chosen = document.chosen
    kept = chosen | (chance.random(len(chosen)) < OTHERS / len(chosen))
    # Those kept stand for those left out.
    others = (~chosen).sum() / max((~chosen & kept).sum(), 1)
    weights = np.where(chosen, 1.0, others) * document.weight / np.sqrt(len(chosen))
    return document.rows[kept], document.vectors[kept], chosen[kept].astype(np.float64), weights[kept]


def regress(rows: np.ndarray, vectors: np.ndarray, chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights for `scoring.termhood`, by Newton's method."""
    single = rows[:, [WORDS]] == 1
    columns = np.concatenate([vectors * single, vectors * ~single, np.ones((len(rows), 1))], axis=1).astype(np.float64)
    result = np.zeros(columns.shape[1])
    for _ in range(8):
        share = 1 / (1 + np.exp(-columns @ result))
        slope = columns.T @ (weights * (chosen - share)) - RIDGE * result
        bend = (columns * (weights * share * (1 - share))[:, None]).T @ columns + RIDGE * np.eye(len(result))
        result += np.linalg.solve(bend, slope)
    return result.astype(np.float32)


def boost(
    rows: np.ndarray, chosen: np.ndarray, weights: np.ndarray, chance: np.random.Generator
) -> dict[str, np.ndarray]:
    """Trees by gradient boosting with logistic loss."""
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in rows.T]
    bins = [np.searchsorted(edge, column, side="left") for edge, column in zip(edges, rows.T, strict=True)]
    total = np.full(len(rows), np.log((weights * chosen).sum() / (weights * (1 - chosen)).sum()))
    ridge = 0.0003 * weights.sum()
    features, thresholds, leaves = [], [], []
    for _ in range(TREES):
        share = 1 / (1 + np.exp(-total))
        slope, bend = weights * (chosen - share), weights * share * (1 - share)
        place = np.zeros(len(rows), np.int64)
        questions = []
        for depth in range(DEPTH):
            asked = [
                (
                    *_best_split(place * BINS + bins[feature], slope, bend, 1 << depth, len(edges[feature]), ridge),
                    feature,
                )
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
