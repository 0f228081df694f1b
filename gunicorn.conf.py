"""How gunicorn serves `api:create_app()`, here and on Railway. Each setting that is not gunicorn's own has its reason.

No preload_app: clients of MongoDB must be built after the fork.
"""

import ctypes
import json
import logging
import os
import signal
import socket
import struct
import sys
import time
from typing import Any


class JsonLines(logging.Formatter):
    """A line of JSON for each event, as the service's own log lines are."""

    def format(self, record: logging.LogRecord) -> str:
        """time, level and message, and the traceback if there is one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z"
        line = {"time": stamp, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def post_fork(server: Any, worker: Any) -> None:
    """Linux: when gunicorn is killed with -9, an upload in hand must not hold the port for another half a minute."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def when_ready(server: Any) -> None:
    """Linux: who falls silent in the middle of a request is left after SILENCE seconds; connections inherit this.

    gthread waits for a request's first byte without a thread, but for the rest of it with one, and without a limit.
    """
    if sys.platform == "linux":
        for listener in server.LISTENERS:
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE, 0))


SILENCE = 15  # seconds; Railway's edge sends a request on as it comes in, and a telephone may be in a tunnel

# Both kinds of addresses: Railway's private network may be IPv6 only.
host = "[::]" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  a proxy is in front of it
bind = f"{host}:{os.environ.get('PORT', '8000')}"

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))  # two, so that one serves while the other is started again
worker_class = "gthread"
threads = 32  # a slow upload holds one until it is in: enough for ten of them and for all who ask for a status
timeout = 60  # seconds for which the process may give no sign of life; a request in a thread may take longer

# Uploads in hand are finished when a deployment ends, if Railway leaves time for it (it kills after 0 s by default).
graceful_timeout = max(1, int(os.environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS") or 35) - 5)

# gunicorn's own defaults, named since they are part of the answer to who sends a head without an end. Railway's edge
# takes at most 32 kB of it anyway.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

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
