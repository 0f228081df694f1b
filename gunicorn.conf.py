"""How gunicorn serves `api:create_app()`, here and on Railway. Each setting that is not gunicorn's own has its reason.

No preload_app: clients of MongoDB must be built after the fork.
"""

import contextlib
import ctypes
import functools
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers import gthread

SILENCE = 15  # seconds; Railway's edge sends a request on as it comes in, and a telephone may be in a tunnel
HEAD = 5  # seconds for the whole head of a request, which is a packet or two


class JsonLines(logging.Formatter):
    """A line of JSON for each event, as the service's own log lines are."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as monitoring.py writes an event, with the traceback if there is one."""
        from monitoring import line  # gunicorn makes this folder importable after it has read this file

        told = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return line(record.getMessage(), record.levelname.lower(), told)


class Worker(gthread.ThreadWorker):
    """gthread, but for two places where it waits for one client and lets all others wait.

    A thread reads a head for as long as something comes of it: here for HEAD seconds in all. The loop that accepts
    waits two seconds for a client to close its side: here it goes on, and a watch closes what was left unread.
    """

    def init_process(self) -> None:
        """The worker's life."""
        self.ends: dict[socket.socket, tuple[float, Callable[[], None]]] = {}
        gthread.util.close_graceful = self.close_later
        threading.Thread(target=self.watch, daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """In a thread: a head and its request."""
        self.ends[conn.sock] = time.monotonic() + HEAD, functools.partial(conn.sock.shutdown, socket.SHUT_RDWR)
        kept = super().handle(conn)
        self.ends.pop(conn.sock, None)  # one that has said nothing yet waits without a thread, as long as it likes
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """In the same thread: the head is there."""
        self.ends.pop(conn.sock, None)
        return super().handle_request(req, conn)

    def close_later(self, sock: socket.socket, **_: float) -> None:
        """Closed with something unread, a connection would be reset, and the answer with it might be lost."""
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            if sock.recv(65536):
                self.ends[sock] = time.monotonic() + 2, sock.close
                return
        sock.close()

    def watch(self) -> None:
        """In a thread: ends what is over."""
        while True:
            time.sleep(0.5)
            for sock, (ends, end) in list(self.ends.items()):
                if ends < time.monotonic():
                    with contextlib.suppress(OSError):  # closed already
                        end()
                    self.ends.pop(sock, None)


def post_fork(server: Any, worker: Any) -> None:
    """Linux: when gunicorn is killed with -9, an upload in hand must not hold the port for another half a minute."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def when_ready(server: Any) -> None:
    """Linux: who falls silent in the middle of a body or of an answer is left after SILENCE seconds.

    Connections inherit this from the listener; gthread waits for them with a thread, and without a limit.
    """
    if sys.platform == "linux":
        for listener in server.LISTENERS:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SILENCE, 0))


# Both kinds of addresses: Railway's private network may be IPv6 only.
host = "[::]" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  a proxy is in front of it
bind = f"{host}:{os.environ.get('PORT') or 8000}"

workers = int(os.environ.get("WEB_CONCURRENCY") or 2)  # two, so that one serves while the other is started again
worker_class = Worker
threads = 96  # a slow upload holds one until it is in; uploads.py leaves some to all who ask for a status
# Seconds for which a thread waits for a first byte, and reads on what was refused.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.5
timeout = 60  # seconds for which the process may give no sign of life; a request in a thread may take longer

# Uploads in hand are finished when a deployment ends, if Railway leaves time for it (it kills after 0 s by default).
graceful_timeout = max(1, int(os.environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS") or 35) - 5)

# gunicorn's own defaults, named since they are part of the answer to who sends a head without an end. Railway's edge
# takes at most 32 kB of it anyway.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

sendfile = False  # Python's own waits for a client without an end
keepalive = 65  # longer than the 60 s of Railway's edge, which else sends a request into a closing connection
max_requests = 50_000  # a slow leak ends here; high, for a restart cuts off uploads that take over graceful_timeout
max_requests_jitter = 5_000  # not all processes at once
# Signs of life must not wait for a busy disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  gunicorn makes a file of its own
control_socket_disable = True  # one socket in the home folder, which all instances would share, for what nobody uses

# Railway shows stderr as errors, so gunicorn's log goes to stdout. No access log: pages ask for a status every two
# seconds, and Railway drops what passes 500 lines a second.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonLines}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stdout"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False}},
}
