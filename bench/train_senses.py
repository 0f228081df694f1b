"""Makes pipeline/data/senses.npz: vectors of WordNet's senses, and how much each kind of evidence counts.

    python bench/train_senses.py FOLDER
    python bench/train_senses.py FOLDER --weights      only step 3, after bench/make_encoder.py

1. Of each synset, vectors of its lemmas, its gloss and its examples, and those of its neighbours: GloVe's, the rarer
   words the heavier. The neighbours' mean is one vector of the sense.
2. The learned vector is a linear map of them all, and of what spreads over the relations, such that an example
   sentence of WordNet's without the word itself is nearer to the sense that it illustrates than to the word's other
   senses (32,000 examples; Adam, softmax loss).
3. The weights of the evidence come from the tagged texts in FOLDER (bench/senses.py).

Takes half a minute of one processor. The vectors kept are those of senses of words with more than one; five bits a
number.
"""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

import senses as bench

from pipeline.dense import Floats, unit, weigh
from pipeline.english import zipf
from pipeline.senses import EVIDENCE, MODEL, content_words, sense_key, stem
from pipeline.wordnet import PARTS_OF_SPEECH, Synset, open_wordnet

EPOCHS, BATCH, RATE, RIDGE = 5, 256, 1e-2, 1e-4
LEVELS = 15  # of numbers to either side of nought: five bits, which pack better than eight
RAREST = 1.0  # Zipf: senses of rarer words are left out
RELATIONS = (("@", "@i"), ("~", "~i"))  # above, below; all others but antonyms are one kind
SHARES, STEPS = (0.7, 0.5, 0.7), 3  # of what spreads from above, below and beside


def main() -> None:
    """Learn and write; prints how often the right sense of examples kept aside is the nearest."""
    parser = argparse.ArgumentParser(description="Make the model of senses.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", action="store_true")
    options = parser.parse_args()
    if options.weights:
        weigh_anew(options.folder)
        return
    synsets = [open_wordnet().synset(offset, part) for part in PARTS_OF_SPEECH for offset in offsets(part)]
    parts = components(synsets)
    maps = learn(synsets, parts)
    kept = polysemous(synsets)
    learned = np.einsum("kde,kne->nd", maps, parts)[kept]
    related = unit(parts[4:].sum(0))[kept]
    write(synsets, kept, learned, related, np.zeros(len(EVIDENCE)))
    write(synsets, kept, learned, related, bench.fit(bench.read(options.folder)))
    print(f"{len(kept)} senses, {MODEL.stat().st_size >> 10} kB")


def weigh_anew(folder: Path) -> None:
    """Learn the weights for the vectors that are there."""
    with np.load(MODEL) as file:
        arrays = dict(file)
    np.savez_compressed(MODEL, **{**arrays, "weights": bench.fit(bench.read(folder))})


def write(
    synsets: list[Synset], kept: list[int], learned: Floats, related: Floats, weights: NDArray[np.float64]
) -> None:
    """The file. Learned vectors have one scale, since their lengths tell; the others each its own."""
    keys = [sense_key(synsets[number].offset, synsets[number].part_of_speech) for number in kept]
    scaled = np.round(related * LEVELS / np.abs(related).max(1, keepdims=True).clip(1e-9))
    one_scale = np.round(learned * LEVELS / np.quantile(np.abs(learned), 0.9995))
    np.savez_compressed(
        MODEL,
        keys=np.array(keys),
        learned=np.clip(one_scale, -LEVELS, LEVELS).astype(np.int8),
        related=scaled.astype(np.int8),
        weights=weights,
    )


def offsets(part: str) -> list[int]:
    """All synsets of a part of speech."""
    lemmas = open_wordnet()._index(part)
    return sorted({offset for lemma in lemmas for offset in open_wordnet().senses(lemma, part)})


def polysemous(synsets: list[Synset]) -> list[int]:
    """The places of those that a choice is ever between."""
    places = {(synset.offset, synset.part_of_speech): number for number, synset in enumerate(synsets)}
    kept = set()
    for part in PARTS_OF_SPEECH:
        for lemma in open_wordnet()._index(part):
            found = open_wordnet().senses(lemma, part)
            if len(found) > 1 and min(map(zipf, lemma.split("_"))) >= RAREST:
                kept |= {places[offset, part] for offset in found}
    return sorted(kept)


def vector(words: list[str]) -> Floats:
    """The weighted sum of words' vectors."""
    return weigh(words or [""]).sum(0)


def components(synsets: list[Synset]) -> Floats:
    """(kinds, synsets, dimensions): lemmas, gloss, examples; then what spreads over relations; then lemmas and texts
    above, below and beside."""
    lemmas = unit(np.stack([vector([w for lemma in each.lemmas for w in content_words(lemma)]) for each in synsets]))
    gloss = unit(np.stack([vector(content_words(each.gloss)) for each in synsets]))
    examples = unit(np.stack([vector(content_words(" ".join(each.examples))) for each in synsets]))
    own = unit(lemmas + gloss)
    spread = own
    for _ in range(STEPS):
        near = zip(SHARES, spread_once(synsets, spread), strict=True)
        spread = unit(own + sum(share * vectors for share, vectors in near))
    around = zip(spread_once(synsets, lemmas), spread_once(synsets, gloss + examples), strict=True)
    return np.stack([lemmas, gloss, examples, spread, *(each for pair in around for each in pair)])


def spread_once(synsets: list[Synset], vectors: Floats) -> list[Floats]:
    """Of each synset, the sum of its neighbours' above, below and beside, of length 1."""
    places = {(synset.offset, synset.part_of_speech): number for number, synset in enumerate(synsets)}
    edges: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, synset in enumerate(synsets):
        for sign, offset, part in synset.relations:
            if sign != "!":
                kind = next((kind for kind, signs in enumerate(RELATIONS) if sign in signs), len(RELATIONS))
                edges[kind].append((number, places[offset, part]))
    found = []
    for kind in range(len(SHARES)):
        total = np.zeros_like(vectors)
        source, target = np.array(edges[kind]).T
        np.add.at(total, source, vectors[target])
        found.append(unit(total))
    return found


def learn(synsets: list[Synset], parts: Floats) -> Floats:
    """The maps, (kinds, dimensions, dimensions). An example counts neither as text of its own sense."""
    places = {(synset.offset, synset.part_of_speech): number for number, synset in enumerate(synsets)}
    contexts, rows, texts = [], [], []
    for number, synset in enumerate(synsets):
        for example in synset.examples:
            words = re.findall(r"[a-z]+(?:-[a-z]+)*", example.lower())
            stems = {*words, *map(stem, words)}
            for lemma in synset.lemmas:
                found = open_wordnet().senses(lemma.lower(), synset.part_of_speech)
                if lemma in stems and len(found) > 1:
                    contexts.append(vector([word for word in content_words(example) if word != lemma]))
                    others = [places[offset, synset.part_of_speech] for offset in found]
                    rows.append([number, *(other for other in others if other != number)])
                    rest = [word for text in synset.examples if text != example for word in content_words(text)]
                    texts.append(unit(vector(rest)[None])[0])
                    break
    context = unit(np.stack(contexts))
    chance = np.random.default_rng(0)
    order = chance.permutation(len(rows))
    aside, order = order[:3000], order[3000:]

    def senses_of(number: int) -> Floats:
        vectors = parts[:, rows[number]].copy()
        vectors[2, 0] = texts[number]
        return vectors

    def nearest(maps: Floats) -> float:
        asked = np.einsum("bd,kde->bke", context[aside], maps)
        found = [np.einsum("kse,ke->s", senses_of(number), asked[at]).argmax() for at, number in enumerate(aside)]
        return 100 * float(np.mean(np.array(found) == 0))

    size = parts.shape[2]
    start = np.stack([3 * np.eye(size, dtype=np.float32)] * len(parts))
    maps, mean, square, step = start.copy(), np.zeros_like(start), np.zeros_like(start), 0
    print(f"{len(rows)} examples; of those kept aside the sense is the nearest: {nearest(maps):.1f} %", flush=True)
    for epoch in range(EPOCHS):
        chance.shuffle(order)
        rate = RATE * (1 - epoch / EPOCHS)
        for begin in range(0, len(order), BATCH):
            batch = order[begin : begin + BATCH]
            asked = np.einsum("bd,kde->bke", context[batch], maps)
            pull = np.zeros_like(asked)
            for at, number in enumerate(batch):
                vectors = senses_of(number)
                scores = np.einsum("kse,ke->s", vectors, asked[at])
                powers = np.exp(scores - scores.max())
                powers /= powers.sum()
                powers[0] -= 1
                pull[at] = np.einsum("s,kse->ke", powers, vectors)
            slope = np.einsum("bd,bke->kde", context[batch], pull) / len(batch) + RIDGE * (maps - start)
            step += 1
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            maps -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        print(f"epoch {epoch + 1}: {nearest(maps):.1f} %", flush=True)
    return maps


if __name__ == "__main__":
    main()
