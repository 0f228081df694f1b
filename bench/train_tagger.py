"""Trains pipeline/data/tagger.npz: an averaged perceptron with Viterbi search, as in Collins (2002).

    python bench/train_tagger.py FOLDER

FOLDER holds train, dev and test.conllu.gz of UD English EWT (CC BY-SA 4.0: the model is under the same licence). Prints
the accuracy on dev after each pass, and on test at the end: over all tags of UD, and over the open classes. Takes
half a minute.
"""

import argparse
import gzip
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline.context import TOKEN
from pipeline.tagger import MODEL, NEIGHBOURS, PARTICIPLE, TAGS, UPOS, Tagger, features

OPEN = "NPJVRG"
Sentence = tuple[list[str], str]  # words, and a tag's letter for each


def main() -> None:
    """Train, and write the model."""
    parser = argparse.ArgumentParser(description="Train the tagger.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--seen", type=int, default=2, help="features seen less often are left out (2)")
    parser.add_argument("--smallest", type=float, default=0.25, help="rows without a larger weight are left out")
    options = parser.parse_args()
    train, dev, test = (list(read(options.folder / f"{part}.conllu.gz")) for part in ("train", "dev", "test"))
    # The pipeline's tokens are longer than UD's: "don't" and "well-known" are one. Both ways are learned.
    joined = [merged for sentence in train if (merged := joined_up(sentence)) != sentence]
    learn(train + joined, dev, options)
    print("test", *accuracy(test), f"{MODEL.stat().st_size >> 10} kB")


def read(path: Path) -> Iterator[Sentence]:
    """The sentences of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        blocks = file.read().split("\n\n")
    for block in blocks:
        rows = [line.split("\t") for line in block.splitlines() if re.match(r"\d+\t", line)]
        if rows:
            tags = [PARTICIPLE if row[3] == "VERB" and row[7] == "amod" else UPOS[row[3]] for row in rows]
            yield [row[1] + "\0" * ("SpaceAfter=No" in row[9]) for row in rows], "".join(tags)


def joined_up(sentence: Sentence) -> Sentence:
    """The sentence in the pipeline's tokens: a joined one has the tag of its last part, a clitic of its first."""
    owners = [tag for word, tag in zip(*sentence, strict=True) for _ in word.rstrip("\0")]
    text = "".join(word[:-1] if word.endswith("\0") else word + " " for word in sentence[0])
    blanks = [number for number, sign in enumerate(text) if sign == " "]
    words, tags = [], []
    for match in TOKEN.finditer(text):
        word = match[0]
        begin = match.start() - int(np.searchsorted(blanks, match.start()))
        first, last = owners[begin], owners[min(begin + len(word.replace(" ", "")), len(owners)) - 1]
        tag = last
        if re.search(r"['’]", word):
            tag = first
        elif "-" in word and last in "VG" and first != last:
            tag = "J"
        words.append(word)
        tags.append(tag)
    return words, "".join(tags)


def learn(sentences: list[Sentence], dev: list[Sentence], options: argparse.Namespace) -> None:
    """Pass over the sentences, and write the averaged weights."""
    prepared = [[name_rows(words)] for words, _ in sentences]
    counts = Counter(name for (names,) in prepared for row in names for name in row if name)
    kept = sorted(name for name, count in counts.items() if count >= options.seen)
    rows_of = {name: row for row, name in enumerate(kept, 1)}
    data = []
    for (names,), (_, tags) in zip(prepared, sentences, strict=True):
        rows = np.array([[rows_of.get(name, 0) for name in row] for row in names], np.int32)
        data.append((rows, np.array([TAGS.index(tag) for tag in tags])))
    weights = np.zeros((len(kept) + 1, len(TAGS)), np.float32)
    moved = np.zeros((len(TAGS), len(TAGS)), np.float32)  # transitions
    weight_sums, moved_sums = np.zeros(weights.shape), np.zeros(moved.shape)
    step = 0
    generator = np.random.default_rng(1)
    for number in range(options.passes):
        begun, wrong = time.perf_counter(), 0
        for which in generator.permutation(len(data)):
            rows, gold = data[which]
            step += 1
            guess = viterbi(weights[rows].sum(1), moved)
            bad = np.flatnonzero(guess != gold)
            wrong += len(bad)
            if not len(bad):
                continue
            for tags, by in ((gold, 1.0), (guess, -1.0)):
                at = (rows[bad].ravel(), np.repeat(tags[bad], rows.shape[1]))
                np.add.at(weights, at, by)
                np.add.at(weight_sums, at, by * step)
                np.add.at(moved, (tags[:-1], tags[1:]), by)
                np.add.at(moved_sums, (tags[:-1], tags[1:]), by * step)
            weights[0] = 0.0
        average = weights - weight_sums / step
        average[0] = 0.0
        write(kept, average, moved - moved_sums / step, options.smallest)
        print(number + 1, f"{wrong} wrong, dev", *accuracy(dev), f"{time.perf_counter() - begun:.0f} s", flush=True)


def name_rows(words: list[str]) -> list[list[str]]:
    """The names of the features of each word in its sentence, its neighbours' among them."""
    own = [features(word.rstrip("\0")) for word in words]
    rows = []
    for number, (mine, _) in enumerate(own):
        row = [*mine[:-1], "first" if number == 0 else mine[-1]]
        for which, offset in enumerate(NEIGHBOURS):
            at = number + offset
            row += own[at][1][which] if 0 <= at < len(own) else (f"{offset}:edge", "", "")
        rows.append(row)
    return rows


def viterbi(scores: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The best tags of one sentence."""
    best, back = scores[0], []
    for row in scores[1:]:
        paths = best[:, None] + moved
        back.append(paths.argmax(0))
        best = paths.max(0) + row
    tags = [int(best.argmax())]
    for pointers in reversed(back):
        tags.append(int(pointers[tags[-1]]))
    return np.array(tags[::-1])


def write(names: list[str], weights: np.ndarray, transitions: np.ndarray, smallest: float) -> None:
    """The model: eight bits for a weight, and no row without one that matters."""
    large = np.abs(weights[1:]).max(1) >= smallest
    kept = weights[np.concatenate([[True], large])]
    scale = np.float32(np.quantile(np.abs(kept).max(1), 0.995) / 127)
    MODEL.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        MODEL,
        names=np.frombuffer(
            "\n".join(name for name, is_kept in zip(names, large, strict=True) if is_kept).encode(), np.uint8
        ),
        weights=np.clip(np.round(kept / scale), -127, 127).astype(np.int8),
        scale=scale,
        transitions=transitions.astype(np.float32),
    )


def accuracy(sentences: list[Sentence]) -> tuple[str, str, str]:
    """Of the written model: percent of all tokens, percent of those of open classes, tokens a second."""
    words = [word.rstrip("\0") for sentence, _ in sentences for word in sentence]
    gold = "".join(tags for _, tags in sentences)
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    ids = np.array([numbers[word] for word in words], np.int32)
    starts = np.concatenate([[0], np.cumsum([len(tags) for _, tags in sentences])])
    tagger = Tagger(MODEL)
    begun = time.process_time()
    guess = [TAGS[tag] for tag in tagger.tag(list(numbers), ids, starts)]
    spent = time.process_time() - begun
    right = [a.replace(PARTICIPLE, "V") == b.replace(PARTICIPLE, "V") for a, b in zip(guess, gold, strict=True)]
    open_classes = [is_right for is_right, tag in zip(right, gold, strict=True) if tag in OPEN]
    return (
        f"UPOS {100 * np.mean(right):.2f} %",
        f"open classes {100 * np.mean(open_classes):.2f} %",
        f"{len(words) / spent:.0f} tokens/s",
    )


if __name__ == "__main__":
    main()
