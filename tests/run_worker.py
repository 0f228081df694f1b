"""A real worker with the short times that fault tests need: python -m tests.run_worker LEASE GRACE SECONDS"""

import contextlib
import os
import sys

from queue_lib import Queue
from storage import Storage
from worker import Limits, Worker, start_forkserver


def main() -> None:
    lease, grace, seconds = (float(argument) for argument in sys.argv[1:])
    start_forkserver()
    queue = Queue(os.environ["UPSTASH_REDIS_URL"], f"test-{os.getpid()}", lease=lease, block=lease * 0.9)
    with contextlib.closing(Storage.from_env(pool=2)) as files:
        Worker(queue, files, limits=Limits(seconds, megabytes=1024), grace=grace).run()


if __name__ == "__main__":
    main()
