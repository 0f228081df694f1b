"""How often the right sense is chosen, on texts whose words were tagged with WordNet 3.0's by hand.

    python bench/senses.py FOLDER

FOLDER holds pairs NAME.data.xml.gz and NAME.gold.txt.gz (the format of Raganato, Camacho-Collados and Navigli 2017).
Prints, in percent, the first sense and ours: as it ships, with weights learned on two thirds of each text's sentences
and measured on the last third, and with kinds of evidence left out. The vectors are the same throughout: no tagged text
goes into them. An instance is right if its sense is one of the tagged ones; all have one.
"""

import argparse
import gzip
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline.context import SENTENCE, Sentence
from pipeline.dense import embed
from pipeline.senses import EVIDENCE, Senses, open_model
from pipeline.tokens import make_tokens
from pipeline.wordnet import PARTS_OF_SPEECH, open_wordnet

PARTS = dict(zip(("NOUN", "VERB", "ADJ", "ADV"), PARTS_OF_SPEECH, strict=True))
FOLDS = 3
_RIDGE = 40.0
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Instance:
    """A tagged word: `evidence` (senses, kinds), `right` whether each sense is a tagged one, `third` of its text."""

    text: str
    part_of_speech: str
    evidence: Matrix
    right: NDArray[np.bool_]
    third: int


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure the choice of senses.")
    parser.add_argument("folder", type=Path)
    instances = read(parser.parse_args().folder)
    kinds = np.arange(len(EVIDENCE))
    print(f"{'':34}{'all':>7}", *(f"{part:>10}" for part in PARTS_OF_SPEECH), *sorted({i.text for i in instances}))
    show("first sense", instances, [0] * len(instances))
    show("ours, as it ships", instances, [best(each, open_model().weights) for each in instances])
    held_out = [each for each in instances if each.third == FOLDS - 1]
    weights = fit([each for each in instances if each.third < FOLDS - 1])
    show("held-out third: first sense", held_out, [0] * len(held_out))
    show("held-out third: ours", held_out, [best(each, weights) for each in held_out])
    show("each third by the others", instances, crossed(instances, kinds))
    for group in dict.fromkeys(name.split(" ")[0] for name in EVIDENCE):
        without = np.array([number for number in kinds if not EVIDENCE[number].startswith(group)])
        show(f"  without {group}", instances, crossed(instances, without))
    for group in ("learned", "vector", "lesk", "example", "read"):
        only = [number for number in kinds if EVIDENCE[number].split(" ")[0] in ("prior", group)]
        show(f"  prior and {group} only", instances, crossed(instances, np.array(only)))


def crossed(instances: Sequence[Instance], kinds: NDArray[np.int64]) -> list[int]:
    """What is chosen for each, with weights learned on the other thirds of the texts."""
    weights = [fit([each for each in instances if each.third != third], kinds) for third in range(FOLDS)]
    return [best(each, weights[each.third], kinds) for each in instances]


def best(instance: Instance, weights: Matrix, kinds: NDArray[np.int64] | slice = slice(None)) -> int:
    """The sense with the highest score."""
    return int((instance.evidence[:, kinds] @ weights).argmax())


def show(name: str, instances: Sequence[Instance], chosen: Sequence[int]) -> None:
    """A line: percent right of all, of each part of speech, of each set."""
    right = np.array([bool(each.right[number]) for each, number in zip(instances, chosen, strict=True)])

    def percent(holds: Callable[[Instance], bool]) -> str:
        return f"{100 * right[[holds(each) for each in instances]].mean():10.1f}"

    parts = [percent(lambda each, part=part: each.part_of_speech == part) for part in PARTS_OF_SPEECH]
    sets = [percent(lambda each, text=text: each.text == text) for text in sorted({each.text for each in instances})]
    print(f"{name:34}{100 * right.mean():7.1f}", *parts, *sets, flush=True)


def fit(instances: Sequence[Instance], kinds: NDArray[np.int64] | slice = slice(None)) -> Matrix:
    """Weights by Newton's method: conditional logit with a ridge, on evidence scaled to deviation 1."""
    some = [each for each in instances if len(each.right) > 1]
    rows = np.vstack([each.evidence[:, kinds] for each in some])
    right = np.concatenate([each.right for each in some])
    sizes = np.array([len(each.right) for each in some])
    begins, owner = np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.repeat(np.arange(len(sizes)), sizes)
    scale = rows.std(0) + 1e-9
    rows /= scale
    weights = np.zeros(rows.shape[1])
    for _ in range(12):
        scores = rows @ weights
        powers = np.exp(scores - np.maximum.reduceat(scores, begins)[owner])
        chance = powers / np.add.reduceat(powers, begins)[owner]
        wanted = chance * right / np.add.reduceat(chance * right, begins)[owner]
        means = np.add.reduceat(rows * chance[:, None], begins)
        curve = (rows * chance[:, None]).T @ rows - means.T @ means + _RIDGE * np.eye(len(weights))
        weights -= np.linalg.solve(curve, rows.T @ (chance - wanted) + _RIDGE * weights)
    return weights / scale


def read(folder: Path) -> list[Instance]:
    """All instances of the folder's sets; what stands in none of WordNet's senses is an error of the set's."""
    numbers = _sense_numbers()
    instances = []
    for file in sorted(folder.glob("*.data.xml.gz")):
        name = file.name.removesuffix(".data.xml.gz")
        with gzip.open(folder / f"{name}.gold.txt.gz", "rt") as lines:
            gold = {identity: {numbers[key] for key in keys} for identity, *keys in map(str.split, lines)}
        for text in ElementTree.fromstring(gzip.decompress(file.read_bytes())):
            instances += _instances(name, text, gold)
    return instances


def _instances(name: str, text: ElementTree.Element, gold: dict[str, set[int]]) -> list[Instance]:
    sentences = []
    places: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    tagged: dict[tuple[str, str], list[str]] = defaultdict(list)
    for number, element in enumerate(text):
        words = [word.text or "" for word in element]
        starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])]).tolist()
        sentences.append(Sentence(" ".join(words), 1, SENTENCE, tuple(words), tuple(starts)))
        for at, word in enumerate(element):
            if word.tag == "instance":
                key = (word.attrib["lemma"].replace("_", " "), PARTS[word.attrib["pos"]])
                places[key].append((number, at, at + 1))
                tagged[key].append(word.attrib["id"])
    tokens = make_tokens(sentences)
    senses = Senses(tokens, embed(tokens))
    found = []
    for (lemma, part), where in places.items():
        offsets = open_wordnet().senses(lemma, part)
        each = senses.evidence(lemma, part, where)
        for place, identity, evidence in zip(where, tagged[lemma, part], each, strict=True):
            right = np.array([offset in gold[identity] for offset in offsets])
            found.append(Instance(name, part, evidence, right, place[0] * FOLDS // len(sentences)))
    return found


def _sense_numbers() -> dict[str, int]:
    """The synset's offset of each of WordNet's sense keys."""
    lines = (open_wordnet().folder / "index.sense").read_text("ascii").splitlines()
    return {key: int(offset) for key, offset, _, _ in map(str.split, lines)}


if __name__ == "__main__":
    main()
