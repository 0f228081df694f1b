"""The small transformer: what it makes of a word depends on the words beside it and on nothing else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.encoder import BEGIN, END, UNKNOWN, open_encoder, open_told
from pipeline.senses import sense_key, stem
from pipeline.wordnet import open_wordnet

ROOT = Path(__file__).parents[2]


def window(text: str, word: str) -> tuple[list[int], int]:
    words = text.split()
    return [BEGIN, *(open_encoder().row(each, stem(each)) for each in words), END], words.index(word) + 1


def test_the_table_has_words_their_base_forms_signs_and_figures() -> None:
    row = open_encoder().row
    rows = [row("river", "river"), row(",", ","), row("1984", "1984"), row("riverses", "river"), row("``", "``")]
    assert UNKNOWN not in rows
    assert rows[0] == rows[3]
    assert row("1984", "1984") == row("7", "7")
    assert row("``", "``") == row('"', '"')
    assert row("zxqv", "zxqv") == row("", "") == UNKNOWN


def test_a_window_is_read_alone_as_among_longer_ones() -> None:
    short, long = window("the bank lends money", "bank"), window("he sat on the bank of the river for hours", "bank")
    together = open_encoder().states([short, long], 1)
    for number, each in enumerate((short, long)):
        for one, both in zip(open_encoder().states([each], 1), together, strict=True):
            assert one[0] == pytest.approx(both[number], abs=1e-4)


def test_the_order_of_the_words_is_read() -> None:
    one, other = window("dogs bite men", "bite"), window("men bite dogs", "bite")
    (first, second), plain = open_encoder().states([one, other], 1)
    assert np.abs(first - second).max() > 0.05
    assert np.array_equal(*plain)


def test_more_windows_than_go_at_once_are_all_read() -> None:
    one, other = window("the bank lends money", "bank"), window("the muddy bank of a river", "bank")
    read, _ = open_encoder().states([one] * 70 + [other] * 70, 1)
    assert read[69] == pytest.approx(read[0], abs=1e-4)
    assert read[139] == pytest.approx(read[70], abs=1e-4)
    assert np.abs(read[0] - read[70]).max() > 0.05


def test_what_is_read_is_nearer_to_the_sense_that_is_meant() -> None:
    river, money, *_ = (sense_key(offset, "noun") for offset in open_wordnet().senses("bank", "noun"))
    told = open_told().senses([river, money])
    windows = [window("we walked along the bank of the river", "bank"), window("the bank lends them money", "bank")]
    near = open_told().queries(*open_encoder().states(windows, 1)) @ told.T
    assert near[0, 0] - near[0, 1] > near[1, 0] - near[1, 1]


def test_a_sense_that_the_file_lacks_has_no_vector() -> None:
    assert not open_told().senses([0, 10**9]).any()


def test_the_tables_are_loaded_before_a_server_forks() -> None:
    loaded = "open_encoder.cache_info().currsize == open_told.cache_info().currsize == 1"
    code = f"import pipeline.warm; from pipeline.encoder import open_encoder, open_told; assert {loaded}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)
