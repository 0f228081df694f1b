"""How fast and how right PDFs are read, beside bare pypdfium2 and poppler's pdftotext in the same run.

    python bench/ingest.py FILE_OR_FOLDER ...

Prints for each file: pages, words, CPU seconds of each reader, and the F1 of our bag of words against pdftotext's;
then pages per CPU second of each over all files; then what a PDF of 50 MB with 100,000 words takes, which it makes
itself. CPU seconds are those of this process and its children, the best of three runs. Ours is the whole of stages 1
and 2 but for the language: headers, hyphens and headings are done. Linux only.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the worker

import pypdfium2
from end_to_end import make_pdf

import pipeline.warm  # noqa: F401  as in the worker
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.headings import find_headings
from pipeline.ingestion import extract_file
from pipeline.layout import clean

WORD = re.compile(r"[^\W_]+")


@dataclass
class Row:
    """One file's figures; seconds are of CPU."""

    name: str
    pages: int
    words: int
    bare: float
    ours: float
    poppler: float
    f1: float


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description="Measure the reading of PDFs.")
    parser.add_argument("paths", nargs="*", type=Path, help="PDF files, or folders of them")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured; the best counts (3)")
    parser.add_argument("--big", action="store_true", help="measure the file of 50 MB only")
    options = parser.parse_args()
    if not shutil.which("pdftotext"):
        sys.exit("pdftotext is missing: install the Debian package poppler-utils.")
    if not options.big:
        _table([row for path in _files(options.paths) if (row := _measure(path, options.runs))])
    _measure_big(options.runs)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.pdf")) if path.is_dir() else [path]


def _table(rows: list[Row]) -> None:
    if not rows:
        return
    print(f"{'file':34}{'pages':>6}{'words':>8}{'pdfium s':>10}{'ours s':>8}{'poppler s':>10}{'F1 %':>7}")
    for row in rows:
        print(
            f"{row.name[:33]:34}{row.pages:6}{row.words:8}{row.bare:10.3f}{row.ours:8.3f}{row.poppler:10.3f}"
            f"{100 * row.f1:7.1f}"
        )
    pages = sum(row.pages for row in rows)
    rates = {
        "bare pypdfium2": pages / sum(row.bare for row in rows),
        "ours": pages / sum(row.ours for row in rows),
        "pdftotext": pages / sum(row.poppler for row in rows),
    }
    print()
    for name, rate in rates.items():
        print(f"{name:15} {rate:7.0f} pages per CPU second")
    print(f"ours is {rates['ours'] / rates['bare pypdfium2']:.0%} of bare pypdfium2")
    print(f"F1 against pdftotext: mean {sum(row.f1 for row in rows) / len(rows):.1%}, least", end=" ")
    worst = min(rows, key=lambda row: row.f1)
    print(f"{worst.f1:.1%} ({worst.name}), over {len(rows)} files")


def _measure(path: Path, runs: int) -> Row | None:
    found: list[Document] = []
    try:
        ours = _best(runs, lambda: found.append(_ours(path)))
    except BadDocument as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return None
    text = subprocess.run(["pdftotext", "-q", str(path), "-"], capture_output=True, check=False).stdout.decode()
    document = found[-1]
    return Row(
        path.name, document.pages, document.words, _best(runs, lambda: _bare(path)), ours,
        _best(runs, lambda: subprocess.run(["pdftotext", "-q", str(path), os.devnull], check=False)),
        f1(" ".join(line.text for line in document.lines), text),
    )  # fmt: skip


def _ours(path: Path) -> Document:
    return find_headings(clean(extract_file(path, lambda share: None)))[0]


def _bare(path: Path) -> None:
    pdf = pypdfium2.PdfDocument(path)
    for number in range(len(pdf)):
        page = pdf[number]
        text = page.get_textpage()
        text.get_text_range()
        text.close()
        page.close()
    pdf.close()


def f1(ours: str, theirs: str) -> float:
    """Agreement of two bags of words, 0-1."""
    left, right = Counter(WORD.findall(ours.lower())), Counter(WORD.findall(theirs.lower()))
    return 2 * (left & right).total() / max(left.total() + right.total(), 1)


def _best(runs: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(runs):
        before = _cpu()
        work()
        times.append(_cpu() - before)
    return min(times)


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


# A big file -----------------------------------------------------------------------------------------------------------


def _measure_big(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.pdf"
        make_pdf(path, 50, "water valley the river stone of bridge and winter mill")
        seconds = _best(runs, lambda: _ours(path))
        # The peak is taken in a process of its own, since this one has read other files and has the language model;
        # not by getrusage, which hands a parent's peak on.
        code = (
            "import resource, sys, pathlib\n"
            "from pipeline.ingestion import extract_file\nfrom pipeline.headings import find_headings\n"
            "from pipeline.layout import clean\n"
            "find_headings(clean(extract_file(pathlib.Path(sys.argv[1]), lambda share: None)))\n"
            "print(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", code, str(path)]
        root = Path(__file__).parent.parent
        peaks = subprocess.run(command, capture_output=True, check=True, text=True, cwd=root).stdout.split()
        print(
            f"\na PDF of {path.stat().st_size / 2**20:.0f} MB with 100,000 words: {seconds:.2f} s of CPU; peak memory "
            f"{int(peaks[0]) / 1024:.0f} MB and {int(peaks[1]) / 1024:.0f} MB in the fork, much of it the same pages"
        )


if __name__ == "__main__":
    main()
