"""`dev.py bench`: that it runs, what its tables and sentences say of their figures, and that README has no others."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, patience

sys.path.append(str(ROOT / "bench"))  # last: there is a pipeline.py in it

growth, queue_bench, side_by_side = map(import_module, ("growth", "queue_bench", "side_by_side"))
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "bench" / "RESULTS.md"


@pytest.fixture(scope="module")
def smoke() -> str:
    """What `dev.py bench --smoke` prints."""
    command = [sys.executable, "dev.py", "bench", "--smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience(300))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def tables(page: str) -> dict[str, str]:
    """Its sections by their names."""
    parts = re.split(r"^##+ (.*)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_all_five_tables_are_measured_and_each_says_where_docdeck_is_behind(smoke: str) -> None:
    found = tables(smoke)
    assert list(found) == list(side_by_side.TABLES)
    for name, table in found.items():
        assert "| --- |" in table, name
        assert len(re.findall(r"\bBehind: ", table)) == 1, name


def test_every_queue_has_worked_off_its_jobs(smoke: str) -> None:
    rows = tables(smoke)["Queue"].split("\n\n")[1].splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(queue_bench.NAMES.values())
    for row in rows:
        rate, enqueued, _, commands, _, memory = (cell.strip("| ").replace(",", "") for cell in row.split(" | ")[1:])
        assert min(float(rate), float(enqueued), float(commands), float(memory)) > 0, row


def test_the_job_of_a_killed_docdeck_worker_runs_again_and_that_of_a_queue_that_only_pops_does_not(smoke: str) -> None:
    rows = tables(smoke)["Queue"].split("\n\n")[2].splitlines()[2:]
    said = {row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in rows}
    assert all(cell.startswith("after ") for cell in said["**Docdeck**"][:2]), said
    assert all(cell.startswith("not within") for cell in said["Huey"][:2]), said
    assert said["**Docdeck**"][3].startswith("all run"), said


def test_readme_has_the_figures_of_the_last_run_and_no_others() -> None:
    section = README.partition(side_by_side.BEGIN)[2].partition(side_by_side.END)[0]
    assert section == side_by_side.in_readme(RESULTS.read_text())
    assert list(tables(section)) == list(side_by_side.TABLES)
    assert "--smoke" not in section
    for picture in re.findall(r"\]\((docs/\S+)\)", section):
        assert (ROOT / picture).read_text().startswith("<svg")


def test_a_run_replaces_what_stands_in_readme_and_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "ROOT", tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{side_by_side.BEGIN}old\n{side_by_side.END}after\n")
    side_by_side.write("Measured.\n\n## Queue\n\n![x](PICTURES/x.svg)\n")
    told = "Measured.\n\n### Queue\n\n![x](docs/x.svg)\n"
    assert (tmp_path / "README.md").read_text() == f"before\n{side_by_side.BEGIN}{told}{side_by_side.END}after\n"
    assert "(../docs/x.svg)" in (tmp_path / "bench" / "RESULTS.md").read_text()


def figures(rate: float, killed: str, **others: float) -> Any:
    """Of a queue with that rate."""
    found = queue_bench.Figures([rate], [1.0], [others.get("pickup", 1.0)], others.get("per_job", 5), 100, 20)
    found.killed = found.killed_short = killed
    return found


def test_the_sentence_names_who_is_faster_by_how_much_and_who_loses_jobs() -> None:
    found = {"docdeck": figures(100, "after 24 s"), "huey": figures(150, "not within 75 s")}
    found["celery"] = figures(50, "after 5 s", per_job=4, pickup=0.5)
    sentence = side_by_side.behind_in_queue(found)
    assert "Behind: Huey works off jobs faster, Huey 1.5 times as fast; of these, none keeps" in sentence
    assert "Celery sends fewer commands a job" in sentence
    assert "Celery picks up" in sentence
    assert "did not come back from Huey" in sentence


def test_nobody_is_ahead_of_the_fastest() -> None:
    found = {"docdeck": figures(100, "after 24 s"), "huey": figures(99, "not within 75 s")}
    assert side_by_side.behind_in_queue(found).startswith("Behind: none works off jobs faster;")


def test_a_curve_knows_how_it_grows() -> None:
    curve = growth.Curve("words", [10, 1000], {"flat": [2.0, 2.0], "straight": [1.0, 100.0], "square": [1.0, 10000.0]})
    assert [round(curve.power(cost), 3) for cost in curve.costs] == [0, 1, 2]


def test_a_picture_draws_growth_in_proportion_from_corner_to_corner() -> None:
    picture = growth.picture(growth.Curve("words", [10, 1000], {"CPU, s": [1.0, 100.0]}))
    lines = re.findall(r'points="(\S+) (\S+)" fill="none" stroke="(#\w+)"', picture)
    grid = [line for line in lines if line[2] == "#ccc"]
    assert (grid[0][0], grid[-1][1], growth.COLOURS[0]) in lines
    assert (grid[0][0], grid[-1][1], "#999") in lines, "and so is the line that it is to be compared with"


def test_words_are_counted_as_they_stand_and_used_again_when_they_end() -> None:
    assert side_by_side.words_of("one two\nthree", 5).split() == ["one", "two", "three", "one", "two"]
    assert "two\nthree" in side_by_side.words_of("one two\nthree", 3)
