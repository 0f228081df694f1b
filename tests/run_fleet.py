"""A real fleet with the short times that tests need, as the first process of a container is: it is given the orphans.

    python -m tests.run_fleet LEAST MOST KIND
    python -m tests.run_fleet timed              one such loop

Loops of the kind real are run_worker's, with the pipeline. Those of the kind timed have no child: a document takes as
many seconds as its name says, and each save is logged in the file that the variable SAVES names.
"""

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from fleet import Fleet, name_of
from queue_lib import Job, Queue
from tests.ledger import InlineWorker, LoggedRecords
from worker import Limits

LEASE = 1.5
LOOK, QUIET = 0.2, 0.5
RUN = [sys.executable, "-m"]
KINDS = {"real": [*RUN, "tests.run_worker", "24", "0", "60", "1024"], "timed": [*RUN, "tests.run_fleet", "timed"]}


class Timed(InlineWorker):
    """A worker whose documents take a while, and nothing of this machine."""

    def _process(self, job: Job, document: Path) -> str:
        ends = time.monotonic() + float(job.payload["fileName"])
        while time.monotonic() < ends:
            self._tick(job, 10, "phrases")
            threading.Event().wait(0.02)
        return super()._process(job, document)


def main(kind: str, least: int = 0, most: int = 0) -> int:
    url = os.environ["UPSTASH_REDIS_URL"]
    if not least:
        queue = Queue(url, name_of(os.getpid()), lease=LEASE, block=LEASE * 0.9, answer=1)
        records = LoggedRecords.build(Path(os.environ["SAVES"]))
        Timed(queue, records.files, records, limits=Limits(60, 1024)).run()
        return 0
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    asked = Queue(url, answer=1) if least < most else None
    megabytes = Limits.from_env().megabytes
    return Fleet(KINDS[kind], least, most, asked, megabytes=megabytes, look=LOOK, quiet=QUIET).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1], *map(int, sys.argv[1:-1])))
