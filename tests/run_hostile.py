"""What the worker's child makes of hostile files, measured from outside: python -m tests.run_hostile FOLDER

Reads names of hostile files from standard input, a line each, and answers each with a line of JSON, an Outcome. Every
file is read as worker.py has its documents read: in a process forked from the forkserver, with the same limits. This
process adopts what that child leaves behind, so that nothing gets away. Nothing is written outside FOLDER.
"""

import ctypes
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.support import descendants
from worker import Limits, die_with_parent, hear, run_pipeline, start_forkserver, without_secrets

SECONDS = 60  # of CPU
LIMITS = Limits(seconds=1800, megabytes=1024)  # worker.py's own
PATIENCE = 4 * SECONDS  # by the clock, on a machine that does other things as well
GLANCE = 0.1  # seconds between two looks at the family's memory


@dataclass
class Outcome:
    """How one file ended.

    ended: "done", "refused" (said is the sentence), "failed" (the traceback), "died" (the exit code) or "hung".
    cards: how many. seconds: of CPU, of all of its processes. peak: MB of the largest of them, at its worst; together:
    MB of all of them at the worst moment that was seen, shared pages counted once. processes, files: what it left.
    """

    name: str
    ended: str = "hung"
    said: str = ""
    cards: int = 0
    last: str = ""
    seconds: float = 0.0
    peak: int = 0
    together: int = 0
    result: int = 0
    stages: dict[str, Any] = field(default_factory=dict)
    processes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def read(pipe: Connection, path: str, name: str) -> None:
    """The child: what worker.py runs, then how much memory and CPU that took, its children's included."""
    run_pipeline(pipe, path, "hostile", name, {}, LIMITS)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = round(sum(each.ru_utime + each.ru_stime for each in used), 2)
    os.write(pipe.fileno(), json.dumps(["used", max(each.ru_maxrss >> 10 for each in used), seconds]).encode() + b"\n")


def try_out(name: str, folder: Path) -> Outcome:
    from tests.make_hostile import FILES  # not in the child, which imports this module again

    document = folder / "in" / "here" / "document"
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_bytes(FILES[name].build())
    before, family = set(folder.rglob("*")), set(descendants(os.getpid()))
    outcome = Outcome(name)
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=read, args=(theirs, str(document), name), daemon=True)
    with without_secrets():
        child.start()
    theirs.close()
    try:
        _listen(ours, child.pid or 0, outcome)
    except EOFError:
        child.join()
        outcome.ended, outcome.said = "died", f"exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()
        ours.close()
    left = {pid: line for pid, line in descendants(os.getpid()).items() if pid not in family}
    outcome.processes = [f"{pid} {line}" for pid, line in left.items()]
    outcome.files = [str(path.relative_to(folder)) for path in set(folder.rglob("*")) - before]
    document.unlink()
    return outcome


def _listen(pipe: Connection, pid: int, outcome: Outcome) -> None:
    said, ends = b"", time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if not connection.wait([pipe], GLANCE):
            outcome.together = max(outcome.together, sum(map(_megabytes, (pid, *descendants(pid)))))
            continue
        said += hear(pipe)
        *lines, said = said.split(b"\n")
        for line in lines:
            word, *rest = json.loads(line)
            match word:
                case "progress":
                    outcome.last = f"{rest[0]} {rest[1]}"
                case "used":
                    outcome.peak, outcome.seconds = rest
                    return
                case _:
                    outcome.ended, outcome.said = word, rest[0]
                    if word == "done":
                        result = json.loads(rest[0])
                        outcome.said, outcome.result = json.dumps(result["flashcards"]), len(rest[0])
                        outcome.cards, outcome.stages = len(result["flashcards"]), result["stages"]


def _megabytes(pid: int) -> int:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(row.split()[1]) >> 10 for row in rows if row.startswith("Pss:")), 0)


def main() -> None:
    die_with_parent()
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans below us become our children
    folder = Path(sys.argv[1])
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    start_forkserver()
    for line in sys.stdin:
        outcome = try_out(line.strip(), folder)
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
