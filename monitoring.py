"""What operators are told: one line of JSON on stdout for each event, and errors in Sentry.

stdout, since Railway shows stderr as errors; one line each, with Datadog's reserved attributes. Whatever happens, a
process says fewer than a hundred lines a second and a job five. Document text and secrets do not belong into a field.
"""

import functools
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

MOST = 90  # lines in a second of one process: Railway drops what passes 500 of all of them
FOR_ERRORS = 20  # of these are kept for errors
QUIET = 60  # seconds for which the same error is not sent to Sentry again

_HERE = str(Path(__file__).parent)


# Log lines ------------------------------------------------------------------------------------------------------------


def log(message: str, level: str = "info", **fields: Any) -> None:
    """Write one event. message: what happened, always the same words for the same event; fields: what it was about.

    An error with a `cause`, a traceback or a sentence, goes to Sentry as well, if there is one.
    """
    _sampler.write(line(message, level, fields), level)
    if level == "error" and "cause" in fields:
        _report(message, fields)


def line(message: str, level: str, fields: dict[str, Any]) -> str:
    """An event as JSON. The reserved attributes win: a field that is called like one would be taken for it."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    reserved = {"timestamp": stamp, "level": level, "status": level, "message": message, **_service()}
    return json.dumps({**reserved, **fields, **reserved}, default=str)


@functools.cache
def _service() -> dict[str, str]:
    return {
        "service": os.environ.get("DD_SERVICE") or "docdeck",
        "env": os.environ.get("DD_ENV") or os.environ.get("RAILWAY_ENVIRONMENT_NAME") or "local",
        "version": os.environ.get("DD_VERSION") or os.environ.get("RAILWAY_GIT_COMMIT_SHA") or "unknown",
    }


class Sampler:
    """At most MOST lines in a second; how many were left out is said with the first line of another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._second, self._lines, self._left_out = 0, 0, 0

    def write(self, said: str, level: str) -> None:
        """Write a line, or count it."""
        with self._lock:
            second = int(time.time())
            if second != self._second:
                left_out, self._second, self._lines, self._left_out = self._left_out, second, 0, 0
                if left_out:
                    self._put(line("log lines were left out", "warning", {"lines": left_out}))
            if self._lines < (MOST if level == "error" else MOST - FOR_ERRORS):
                self._put(said)
            else:
                self._left_out += 1

    def last_words(self) -> None:
        """At the process' end: what no later line can say any more."""
        if self._left_out:
            self._put(line("log lines were left out", "warning", {"lines": self._left_out}))

    def _put(self, said: str) -> None:
        self._lines += 1
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


_sampler = Sampler()


# Errors ---------------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A line of a traceback."""

    file: str
    line: int
    function: str
    ours: bool


def frames_of(cause: str) -> tuple[str, list[Frame]]:
    """The exception of a traceback and its frames, without the message, which may hold a document's text."""
    if not cause.startswith("Traceback"):
        return "", []
    last = re.split(r"^Traceback \(most recent call last\):\n", cause, flags=re.MULTILINE)[-1]
    found = re.findall(r'^  File "([^"]+)", line (\d+), in (\S+)', last, re.MULTILINE)
    kind = re.search(r"^([A-Za-z_][\w.]*)(?=:|$)", last, re.MULTILINE)
    frames = []
    for path, number, function in found:
        ours = path.startswith(_HERE) and "site-packages" not in path
        name = path.removeprefix(_HERE).lstrip("/") if ours else Path(path).name
        frames.append(Frame(name, int(number), function, ours))
    return (kind[1] if kind else "Exception"), frames


def group_of(cause: str) -> str:
    """What errors of one cause have in common: the exception and its place in our code, or the sentence."""
    kind, frames = frames_of(cause)
    if frames:
        place = next((frame for frame in reversed(frames) if frame.ours), frames[-1])
        return f"{kind} in {place.file}, {place.function}"
    sentence = (cause.strip().splitlines() or ["no reason"])[-1]
    return re.sub(r"\d+", "#", sentence)[:200]


def start_reporting() -> None:
    """Send errors to the Sentry that SENTRY_DSN names, if there is one; exits with a sentence where it names none."""
    dsn = os.environ.get("SENTRY_DSN")
    if not dsn:
        return
    import sentry_sdk  # not at the head: the forkserver and the children of it have no use for it

    told = _service()
    try:
        sentry_sdk.init(
            dsn,
            environment=told["env"],
            release=f"{told['service']}@{told['version']}",
            default_integrations=False,  # they would send variables, requests and log lines: documents and secrets
            auto_enabling_integrations=False,
            max_breadcrumbs=0,
            shutdown_timeout=2,
        )
    except sentry_sdk.utils.BadDsn as error:
        raise SystemExit(f"SENTRY_DSN is no address of a Sentry project: {error}.") from None


def stop() -> None:
    """On the way out: what is still to be said, and for two seconds what is still to be sent."""
    _sampler.last_words()
    if "sentry_sdk" in sys.modules:
        sys.modules["sentry_sdk"].flush(2)


_reported: dict[str, float] = {}


def _report(message: str, fields: dict[str, Any]) -> None:
    """An event made of names and numbers only: no messages of exceptions, no variables, no lines of text."""
    sentry = sys.modules.get("sentry_sdk")
    group, now = group_of(str(fields["cause"])), time.monotonic()
    if sentry is None or now - _reported.get(group, -QUIET) < QUIET:
        return
    _reported[group] = now
    kind, frames = frames_of(str(fields["cause"]))
    shown = [
        {"filename": frame.file, "lineno": frame.line, "function": frame.function, "in_app": frame.ours}
        for frame in frames
    ]
    context = {name: fields[name] for name in ("job_id", "run", "attempt", "seconds", "request_id") if name in fields}
    event: dict[str, Any] = {
        "level": "error",
        "logger": "docdeck",
        "exception": {"values": [{"type": kind or group, "value": message, "stacktrace": {"frames": shown}}]},
        "fingerprint": [group],
        "user": {"id": str(fields.get("user_id", ""))},
        "tags": {"group": group, **{name: str(value) for name, value in context.items() if name.endswith("_id")}},
        "contexts": {"job": context},
    }
    sentry.capture_event(event)
