"""Docdeck beside what people know, in five tables: queue, extraction, ingestion, end to end, growth.

    python3 dev.py bench [--quick | --smoke] [--documents FOLDER] [--pdfs FOLDER] [--only TABLE ...]

`dev.py bench` installs the peers and starts this. It prints the tables and writes them to bench/RESULTS.md and into
README.md, with pictures in docs/; with --smoke or --only it prints only. The sentences beneath the tables are made from
the figures, so that none of them can outlive what was measured. FOLDER: keyphrases.py's sets, and PDF files; without
them the documents in samples/ are read. Linux only.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import end_to_end
import growth
import keyphrases
import pypdf
import queue_bench

ROOT = Path(__file__).parent.parent
OURS, PEERS = Path(sys.executable), ROOT / ".venv-bench" / "bin" / "python"
SAMPLES = ROOT / "samples"
BEGIN, END = "<!-- bench/RESULTS.md begins -->\n", "<!-- bench/RESULTS.md ends -->\n"
QUEUE_SIZES = {
    "full": queue_bench.Size(rounds=5, jobs=5_000, pickups=300, idle=120, wait=400, settle=60),
    "quick": queue_bench.Size(rounds=3, jobs=1_500, pickups=40, idle=45, wait=75, settle=30),
    "smoke": queue_bench.Size(rounds=1, jobs=20, pickups=2, idle=2, wait=50, settle=20, accidents=("docdeck", "huey")),
}
WORDS = {"full": (10_000, 100_000, 1_000_000), "quick": (10_000, 100_000, 1_000_000), "smoke": (2_000, 4_000)}
UPLOADS = {
    "full": [(0, 1), (0, 100), (1, 1), (1, 100), (50, 1), (50, 100)],
    "quick": [(0, 1), (0, 50), (1, 1), (1, 100), (50, 1), (50, 4)],
    "smoke": [(0, 1), (1, 1)],
}
QUEUED = {"full": (100, 1_000, 10_000, 100_000), "quick": (100, 1_000, 10_000), "smoke": (10, 100)}
MOST_FOR_YAKE = 100_000  # words: it takes minutes for a million


@dataclass(frozen=True)
class Options:
    """size: full, quick or smoke."""

    size: str
    documents: Path | None
    pdfs: Path | None

    @property
    def rounds(self) -> int:
        """Of what is measured in rounds."""
        return {"full": 5, "quick": 3, "smoke": 1}[self.size]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits that count, and commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def program(python: Path, name: str, *arguments: str | Path) -> Any:
    """What a program of bench/ prints as JSON."""
    command = [str(python), str(ROOT / "bench" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{name} {arguments[0]}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


# The tables, each with its sentences ----------------------------------------------------------------------------------


def queue(options: Options) -> str:
    """Table 1."""
    names = list(queue_bench.NAMES)
    found = queue_bench.measure(QUEUE_SIZES[options.size], names)
    head = ("", "no-op jobs/s", "enqueued/s", "pick-up p50, p99 ms", "commands a job", "an idle hour", "MB")
    rows = []
    for name, figures in found.items():
        pickups = sorted(figures.pickups)
        p50, p99 = statistics.median(pickups), pickups[min(len(pickups) - 1, int(len(pickups) * 0.99))]
        rows.append(
            (queue_bench.NAMES[name], number(statistics.median(figures.drained)),
             number(statistics.median(figures.enqueued)), f"{number(p50)}, {number(p99)}",
             f"{figures.per_job:.1f}", number(figures.per_hour), number(figures.memory))
        )  # fmt: skip
    accidents = [
        (queue_bench.NAMES[name], figures.killed, figures.killed_short, figures.sigterm, figures.outage)
        for name, figures in found.items()
        if figures.killed
    ]
    faults = ("", "kill -9: its job runs again", "with its wait set short",
              f"SIGTERM in a job of {queue_bench.LONG} s", f"{queue_bench.OUTAGE} s without Redis")  # fmt: skip
    return "\n\n".join([table(head, rows), table(faults, accidents), behind_in_queue(found)])


def behind_in_queue(found: dict[str, queue_bench.Figures]) -> str:
    """Who is faster, who costs less, and which of them lose jobs."""
    ours = found["docdeck"]
    rate = {name: statistics.median(figures.drained) for name, figures in found.items()}
    faster = [name for name in found if rate[name] > rate["docdeck"]]
    losing = [name for name, figures in found.items() if figures.killed and not figures.keeps]
    cheaper = [name for name, figures in found.items() if figures.per_job < ours.per_job]
    leaner = [name for name, figures in found.items() if figures.memory < ours.memory]
    quicker = [name for name in found if statistics.median(found[name].pickups) < statistics.median(ours.pickups)]
    calmer = [name for name, figures in found.items() if figures.per_hour < ours.per_hour]
    keeping = [name for name in faster if name not in losing]
    told = [f"Behind: {many(faster, 'works off jobs faster', 'work off jobs faster')}"]
    if faster:
        best = max(faster, key=rate.__getitem__)
        told[0] += f", {queue_bench.NAMES[best]} {rate[best] / rate['docdeck']:.1f} times as fast"
        told[0] += f"; of these, {many(keeping, 'keeps', 'keep')} the job of a killed worker"
    told.append(many(quicker, "picks up an idle queue's job sooner", "pick up an idle queue's job sooner"))
    told.append(many(cheaper, "sends fewer commands a job", "send fewer commands a job"))
    told.append(many(calmer, "sends fewer in an idle hour", "send fewer in an idle hour"))
    told.append(many(leaner, "needs less memory", "need less memory"))
    told.append(f"a killed worker's job did not come back from {listed(losing)} while we waited, whatever was set")
    return "; ".join(told) + "."


def listed(names: Sequence[str]) -> str:
    """`a, b and c`, or nobody."""
    plain = [queue_bench.NAMES.get(name, name).replace("*", "") for name in names]
    if len(plain) < 2:
        return plain[0] if plain else "none"
    return f"{', '.join(plain[:-1])} and {plain[-1]}"


def many(names: Sequence[str], one: str, more: str) -> str:
    """A list of who does something, with its verb."""
    return f"{listed(names)} {more if len(names) > 1 else one}"


def extraction(options: Options) -> str:
    """Table 2."""
    from pipeline.english import CLOSED_CLASSES

    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "texts.json"

        def one(name: str, texts: list[str]) -> Any:
            given.write_text(json.dumps({"texts": texts, "stopwords": sorted(CLOSED_CLASSES)}))
            return program(OURS if name == "docdeck" else PEERS, "extractors.py", name, given)

        parts, worse = quality(options, one)
        lengths, slower = speed(options, one)
    told = f"Behind: {worse}; {slower}."
    return "\n\n".join([*parts, lengths, told])


def quality(options: Options, one: Callable[[str, list[str]], Any]) -> tuple[list[str], str]:
    """F1@10 on the documents that are named."""
    if not options.documents:
        return [], "no documents with chosen terms were named (`--documents`), so F1@10 was not measured"
    count = {"full": 100, "quick": 20, "smoke": 2}[options.size]
    rows, worse = [], []
    for name, documents in keyphrases.read(options.documents).items():
        documents = keyphrases.sample(documents, count)
        texts = [document.text for document in documents]
        f1 = {peer: keyphrases.f1(documents, one(peer, texts)["terms"]) for peer in ("docdeck", "yake", "rake")}
        rows.append((f"{name}, {len(documents)} documents", *(f"{value:.1f}" for value in f1.values())))
        worse += [f"{peer.upper()} on {name}" for peer in ("yake", "rake") if f1[peer] > f1["docdeck"]]
    return [table(("F1@10", "**Docdeck**", "YAKE", "RAKE"), rows)], f"{listed(worse)} better by F1@10"


def speed(options: Options, one: Callable[[str, list[str]], Any]) -> tuple[str, str]:
    """Words per second and memory at some lengths."""
    rows, faster, leaner = [], set(), set()
    for count in WORDS[options.size]:
        text = words_of(long_text(options), count)
        found: dict[str, list[Any]] = {"docdeck": [], "yake": [], "rake": []}
        for _ in range(options.rounds):
            for name, runs in found.items():
                if name != "yake" or count <= MOST_FOR_YAKE:
                    runs.append(one(name, [text]))
        rate = {name: statistics.median(count / run["cpu"] for run in runs) for name, runs in found.items() if runs}
        peak = {name: statistics.median(run["peak"] for run in runs) for name, runs in found.items() if runs}
        cells = [f"{number(rate[name])}, {number(peak[name])}" if name in rate else "not run" for name in found]
        rows.append((f"{count:,} words", *cells))
        faster |= {name.upper() for name in rate if rate[name] > rate["docdeck"]}
        leaner |= {name.upper() for name in peak if peak[name] < peak["docdeck"]}
    head = ("words per CPU second, peak MB", "**Docdeck**", "YAKE", "RAKE")
    told = f"{many(sorted(faster), 'is', 'are')} faster and {many(sorted(leaner), 'needs', 'need')} less memory"
    return table(head, rows), told


def long_text(options: Options) -> str:
    """The documents of the set with the longest ones, or our sample."""
    if not options.documents:
        return (SAMPLES / "how-a-city-drinks.txt").read_text()
    sets = keyphrases.read(options.documents).values()
    longest = max(sets, key=lambda each: sum(len(document.text) for document in each) / len(each))
    return "\n\n".join(document.text for document in longest)


def words_of(text: str, count: int) -> str:
    """So many words of a text, and over again when they are used up; its lines and paragraphs stay."""
    words = re.findall(r"\S+\s*", text + "\n\n")
    return "".join((words * (count // len(words) + 1))[:count])


def ingestion(options: Options) -> str:
    """Table 3."""
    files = sorted(options.pdfs.rglob("*.pdf"), key=lambda path: path.stat().st_size) if options.pdfs else []
    files = files[: {"full": None, "quick": 3, "smoke": 1}[options.size]] or [SAMPLES / "how-a-city-drinks.pdf"]
    pages = sum(len(pypdf.PdfReader(path).pages) for path in files)
    names = {"docdeck": "**Docdeck**", "pypdfium2": "pypdfium2", "pdftotext": "pdftotext", "pypdf": "pypdf"}
    names["pdfminer"] = "pdfminer.six"
    if not shutil.which("pdftotext"):
        del names["pdftotext"]
    rates: dict[str, list[float]] = {name: [] for name in names}
    words: dict[str, list[Counter[str]]] = {}
    for _ in range(options.rounds):
        for name in names:
            told = program(PEERS if name == "pdfminer" else OURS, "readers.py", name, *files)
            rates[name].append(pages / sum(told[str(path)]["cpu"] for path in files))
            words[name] = [Counter(told[str(path)]["words"]) for path in files]
    rate = {name: statistics.median(found) for name, found in rates.items()}
    measure = "pdftotext" if "pdftotext" in names else "pypdfium2"
    rows = []
    for name in names:
        shares = [agreement(*pair) for pair in zip(words[name], words[measure], strict=True)]
        rows.append((names[name], number(rate[name]), f"{100 * statistics.mean(shares):.1f}, {100 * min(shares):.1f}"))
    head = ("", "pages per CPU second", f"same words as {measure}, %: mean, least")
    faster = [names[name] for name in names if rate[name] > rate["docdeck"]]
    told = f"{len(files)} files, {pages:,} pages. Behind: {many(faster, 'reads faster', 'read faster')}, and "
    told += "find no headings, no running headers and no hyphens, which Docdeck takes out and others count as words."
    return "\n\n".join([table(head, rows), told])


def agreement(one: Counter[str], other: Counter[str]) -> float:
    """F1 of two bags of words, 0-1."""
    return 2 * (one & other).total() / max(one.total() + other.total(), 1)


def ends(options: Options) -> str:
    """Table 4."""
    rows = end_to_end.measure(UPLOADS[options.size], options.rounds, long_text(options))
    head = ("", "**Docdeck**: median, last s", "documents an hour and core", "in the request: median, last s",
            f"of them over {end_to_end.GATEWAY} s")  # fmt: skip
    cells = [
        (row.name, f"{number(row.median)}, {number(row.last)}",
         number(row.per_hour), f"{number(row.sync_median)}, {number(row.sync_last)}", row.sync_late)
        for row in rows
    ]  # fmt: skip
    slower = [
        f"{row.name}: {row.last / row.sync_last:.1f} times as long as in the request"
        for row in rows
        if row.last > row.sync_last
    ]
    tiny = max((row for row in rows if not row.megabytes), key=lambda row: row.users)
    own = tiny.last / tiny.users * min(tiny.users, os.cpu_count() or 1)
    told = f"{end_to_end.WORDS_PER_MB:,} words a MB. A document of {end_to_end.TINY} words keeps a worker "
    told += f"for {number(own)} s: its own overhead for each. Behind: {listed(slower)}. That is the price of a "
    told += "bucket, a record, a process and limits for each document; what is made in a request is kept nowhere."
    return "\n\n".join([table(head, cells), told])


def grows(options: Options) -> str:
    """Table 5, and its pictures."""
    curves = [of_words(options), *growth.measure(QUEUED[options.size])]
    parts, steep = [], []
    for curve in curves:
        head = (curve.what, *(f"{size:,}" for size in curve.sizes), "grows with the power")
        rows = [(cost, *map(number, values), f"{curve.power(cost):.2f}") for cost, values in curve.costs.items()]
        parts.append(table(head, rows))
        steep += [f"{cost.partition(',')[0]} with {curve.what}" for cost in curve.costs if curve.power(cost) > 1.05]
        if options.size != "smoke":
            picture = f"growth-{curve.what.partition(' ')[0]}.svg"
            (ROOT / "docs" / picture).write_text(growth.picture(curve))
            parts.append(f"![Growth with {curve.what}](PICTURES/{picture})")
    parts.append(f"Behind: {listed(steep)} grows faster than in proportion (a power over 1.05).")
    return "\n\n".join(parts)


def of_words(options: Options) -> growth.Curve:
    """What the pipeline's stages 1 to 11 cost."""
    seconds, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "texts.json"
        for count in WORDS[options.size]:
            given.write_text(json.dumps({"texts": [words_of(long_text(options), count)], "stopwords": []}))
            runs = [program(OURS, "extractors.py", "docdeck", given) for _ in range(options.rounds)]
            seconds.append(statistics.median(run["cpu"] for run in runs))
            memory.append(statistics.median(run["peak"] for run in runs))
    return growth.Curve("words", list(WORDS[options.size]), {"CPU, s": seconds, "peak memory, MB": memory})


TABLES = {"Queue": queue, "Extraction": extraction, "Ingestion": ingestion, "End to end": ends, "Growth": grows}


# The page -------------------------------------------------------------------------------------------------------------


def where(options: Options) -> str:
    """Machine, versions, date and data."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    named = (ROOT / "requirements-bench.txt").read_text().partition("# What those bring along")[0]
    pins = re.findall(r"^(\S+)==(\S+)$", named, re.MULTILINE)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    data = "documents and PDF files that were named" if options.documents and options.pdfs else "our sample"
    flags = "" if options.size == "full" else f" --{options.size}"
    flags += "".join(f" --{name} FOLDER" for name in ("documents", "pdfs") if getattr(options, name))
    return (
        f"Measured on {datetime.date.today():%d %B %Y} by `python3 dev.py bench{flags}` at commit {commit.strip()}, on "
        f"{os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GB, {platform.system()}, "
        f"load average {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"redis-py {version('redis')}, with {data}; "
        f"{', '.join(map(' '.join, pins))}."
    )


def write(page: str) -> None:
    """The page into RESULTS.md, and into README between its two marks, one level of headings down."""
    results = ROOT / "bench" / "RESULTS.md"
    results.write_text("# Side by side\n\n" + page.replace("PICTURES/", "../docs/"))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + BEGIN + in_readme(results.read_text()) + END + rest.partition(END)[2])


def in_readme(results: str) -> str:
    """What README has of RESULTS.md."""
    return results.partition("\n\n")[2].replace("\n## ", "\n### ").replace("../docs/", "docs/")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Docdeck beside what people know.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="ten minutes on two cores")
    size.add_argument("--smoke", dest="size", action="store_const", const="smoke", help="whether it runs at all")
    parser.add_argument("--documents", type=Path, help="a folder of documents with chosen terms, as keyphrases.py says")
    parser.add_argument("--pdfs", type=Path, help="a folder of PDF files")
    parser.add_argument("--only", nargs="+", choices=TABLES, help="these tables only")
    given = parser.parse_args()
    options = Options(given.size or "full", given.documents, given.pdfs)
    parts = [where(options)]
    print(parts[0], flush=True)
    for name in given.only or TABLES:
        begun = time.monotonic()
        parts.append(f"## {name}\n\n{TABLES[name](options)}")
        print(f"\n{parts[-1]}", flush=True)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if options.size != "smoke" and not given.only:
        write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
