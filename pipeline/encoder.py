"""What the words beside a term say of its meaning: a small transformer reads twelve words before and behind it.

It is the first two of MiniLM's six layers, over a table of whole words instead of pieces; what it makes of the term is
mapped to where the vectors of WordNet's senses lie (bench/make_encoder.py). It reads windows of one sentence, sees no
capitals, and takes what the table lacks for one unknown word. The term's words stand first in a window's arrays, since
of the second layer nothing else is wanted; where they stand in the sentence is told by the vectors of places.

all-MiniLM-L6-v2 (Wang et al. 2020; Apache-2.0), of which three to five bits a number are kept.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.dense import Floats

MODEL = Path(__file__).parent / "data" / "encoder.npz"
TOLD = Path(__file__).parent / "data" / "told.npz"
BESIDE, LONGEST = 12, 6  # words before and behind; of a term
UNKNOWN, BEGIN, END = 0, 1, 2  # rows of the table
HEADS = 12
_AT_ONCE = 64  # windows
_TINY = 1e-12


class Encoder:
    """The file's network. Safe to share within a process."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._rows = {word: row for row, word in enumerate(bytes(file["words"]).decode("ascii").split("\n"))}
            self._table: NDArray[np.int8] = file["table"]
            self._scale: Floats = file["scale"]
            self._places: Floats = file["places"].astype(np.float32)
            self._norms: Floats = file["norms"]
            self._biases: Floats = file["biases"]
            weights = [file[name] for name in ("attention", "inner", "outer")]  # (layers, from, to)
            bounds = np.cumsum([0, *(each.shape[2] for each in weights)])
            scales = [file["scales"][:, None, begin:end] for begin, end in pairwise(bounds.tolist())]
            self._weights = [each * scale for each, scale in zip(weights, scales, strict=True)]

    def row(self, word: str, base: str) -> int:
        """The table's row of a lower-case word, or of its base form."""
        if word[:1].isdigit():
            word = "0"
        elif word in ("``", "''"):
            word = '"'
        return self._rows.get(word, self._rows.get(base, UNKNOWN))

    def states(self, windows: Sequence[tuple[Sequence[int], int]], length: int) -> tuple[Floats, Floats]:
        """Of each window, its rows and at which of them the term of so many words begins: what the network makes of
        the term, and its vector from the table."""
        read, plain = np.empty((2, len(windows), len(self._scale)), np.float32)
        for begin in range(0, len(windows), _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            read[some], plain[some] = self._states(windows[some], length)
        return read, plain

    def _states(self, windows: Sequence[tuple[Sequence[int], int]], length: int) -> tuple[Floats, Floats]:
        longest = max(len(rows) for rows, _ in windows)
        ids, places = np.zeros((2, len(windows), longest), np.int64)
        hidden = np.full((len(windows), 1, 1, longest), -1e9, np.float32)
        for number, (rows, at) in enumerate(windows):
            order = [*range(at, at + length), *range(at), *range(at + length, len(rows))]
            ids[number, : len(rows)] = [rows[place] for place in order]
            places[number, : len(rows)] = order
            hidden[number, ..., : len(rows)] = 0.0
        table = self._table[ids] * self._scale
        values = _normal(table + self._places[places], self._norms[0, 0])
        for layer in range(len(self._biases)):
            asked = length if layer == len(self._biases) - 1 else longest
            values = self._layer(layer, values, hidden, asked)
        return values.mean(1), table[:, :length].mean(1)

    def _layer(self, layer: int, values: Floats, hidden: Floats, asked: int) -> Floats:
        """The layer's output for the first `asked` of each window."""
        attention, inner, outer = (each[layer] for each in self._weights)
        width = values.shape[2]
        bias, rest = self._biases[layer, : 4 * width], self._biases[layer, 4 * width :]
        some = np.ascontiguousarray(values[:, :asked])
        query = _heads(some @ attention[:, :width] + bias[:width])
        key, value = (
            _heads(values @ attention[:, at : at + width] + bias[at : at + width]) for at in (width, 2 * width)
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width / HEADS)) + hidden
        powers = np.exp(scores - scores.max(3, keepdims=True))
        seen = (powers / powers.sum(3, keepdims=True) @ value).transpose(0, 2, 1, 3).reshape(some.shape)
        some = _normal(some + seen @ attention[:, 3 * width :] + bias[3 * width :], self._norms[layer + 1, 0])
        wide = some @ inner + rest[:-width]
        wide *= 0.5 + 0.5 * np.tanh(0.7978846 * (wide + 0.044715 * wide * wide * wide))
        return _normal(some + wide @ outer + rest[-width:], self._norms[layer + 1, 1])


class Told:
    """The other file: vectors of senses, and the map of what is read to where they lie."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._keys: NDArray[np.int64] = file["keys"]
            self._senses: NDArray[np.int8] = file["senses"]
            self._map: Floats = file["map"]
            self._bias: Floats = file["bias"]
        self.dimensions = len(self._bias)

    def senses(self, keys: Sequence[int]) -> Floats:
        """(senses, dimensions) of those with these numbers (senses.sense_key); zeros where it has none."""
        rows, known = places_of(keys, self._keys)
        return self._senses[rows].astype(np.float32) * known[:, None]

    def queries(self, read: Floats, plain: Floats) -> Floats:
        """(windows, dimensions), of what `Encoder.states` gives: a sense is the likelier the nearer it is."""
        return np.hstack([read, plain]) @ self._map + self._bias


@cache
def open_encoder() -> Encoder:
    """The network that comes with the pipeline."""
    return Encoder(MODEL)


@cache
def open_told() -> Told:
    """The vectors that come with the pipeline."""
    return Told(TOLD)


def places_of(keys: Sequence[int], among: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each stands among the sorted ones, and whether it does."""
    wanted = np.array(keys)
    rows = np.minimum(np.searchsorted(among, wanted), len(among) - 1)
    return rows, among[rows] == wanted


def _heads(values: Floats) -> Floats:
    windows, places, width = values.shape
    return values.reshape(windows, places, HEADS, width // HEADS).transpose(0, 2, 1, 3)


def _normal(values: Floats, norm: Floats) -> Floats:
    values = values - values.mean(2, keepdims=True)
    values /= np.sqrt((values * values).mean(2, keepdims=True) + _TINY)
    return values * norm[0] + norm[1]
