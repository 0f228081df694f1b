"""The lookup tables: built once, found by everybody, whole or not there."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import tables
from tests.support import ROOT

ROWS: list[tables.Row] = [("bank", (2, 20)), ("river", (1, 5)), ("bank", (1, 300)), ("café's", (1, 7))]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tables, "FOLDER", tmp_path / "tables")
    return tmp_path / "tables"


def open_rows() -> tables.RecordTrie:
    return tables.open_table("test", "numpy", ">BI", lambda: ROWS)


def no_rows() -> list[tables.Row]:
    raise AssertionError("built a second time")


def test_a_table_has_all_numbers_of_a_word_in_order_and_nothing_of_another() -> None:
    table = open_rows()
    assert table.get("bank") == [(1, 300), (2, 20)]
    assert table.get("café's") == [(1, 7)]
    assert "ban" not in table
    assert "banks" not in table
    assert table.get("") is None


def test_what_was_built_is_not_built_again_until_the_package_or_the_form_of_rows_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_rows()
    assert tables.open_table("test", "numpy", ">BI", no_rows).get("river") == [(1, 5)]
    with pytest.raises(AssertionError, match="second time"):
        tables.open_table("test", "pypdf", ">BI", no_rows)
    monkeypatch.setattr(tables, "FORM", tables.FORM + 1)
    with pytest.raises(AssertionError, match="second time"):
        tables.open_table("test", "numpy", ">BI", no_rows)


def test_a_build_that_is_cut_off_leaves_no_table(folder: Path) -> None:
    def broken() -> Iterator[tables.Row]:
        yield from ROWS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables.open_table("test", "numpy", ">BI", broken)
    assert not list(folder.glob("*.trie"))
    assert open_rows().get("river") == [(1, 5)]


def test_processes_that_build_it_at_once_all_get_it_whole(folder: Path) -> None:
    code = (
        "import sys, pathlib\nfrom pipeline import tables\ntables.FOLDER = pathlib.Path(sys.argv[1])\n"
        "rows = [(str(number), (1, number)) for number in range(100_000)]\nsys.stdin.read()\n"
        "print(tables.open_table('test', 'numpy', '>BI', lambda: rows).get('99999'))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for builder in builders:
        builder.stdin.close()  # go
    assert [builder.stdout.read() for builder in builders] == ["[(1, 99999)]\n"] * 3
    assert [builder.wait(10) for builder in builders] == [0] * 3
    assert len(list(folder.iterdir())) == 1
    for builder in builders:
        builder.stdout.close()
