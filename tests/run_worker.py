"""A real worker with the short times that fault tests need: python -m tests.run_worker LEASE GRACE SECONDS MEGABYTES

With SECONDS below zero its loop hangs in its first job, for the test of the watchdog; with the variable BUG set it
meets a bug at its first turn. Files that are named like one of bad_documents.py's fates meet it.
"""

import contextlib
import os
import sys
import threading

import monitoring
import worker
from fleet import name_of
from queue_lib import Job, Queue
from records import Records
from storage import Storage
from tests import bad_documents
from worker import Limits, Worker, start_forkserver


class Hanging(Worker):
    """A worker with the worst of bugs."""

    def handle(self, job: Job) -> None:
        threading.Event().wait()


class Buggy(Worker):
    """A worker whose loop meets a bug at its first turn."""

    met = False

    def _reconcile(self) -> None:
        if not self.met:
            self.met = True
            raise ZeroDivisionError
        super()._reconcile()


def main() -> None:
    lease, grace, seconds, megabytes = (float(argument) for argument in sys.argv[1:])
    worker.run_pipeline = bad_documents.run_pipeline
    start_forkserver()
    monitoring.start_reporting()
    queue = Queue(os.environ["UPSTASH_REDIS_URL"], name_of(os.getpid()), lease=lease, block=lease * 0.9)
    with (
        contextlib.closing(Storage.from_env(pool=2, connect=2, silence=1)) as files,
        contextlib.closing(Records.from_env(files, pool=2, answer=2)) as records,
    ):
        kind, stall = (Hanging, 3 * lease) if seconds < 0 else (Buggy if "BUG" in os.environ else Worker, 72)
        kind(queue, files, records, limits=Limits(seconds, int(megabytes)), grace=grace, stall=stall).run()


if __name__ == "__main__":
    main()
