"""What clients send, checked: every refusal is a sentence, and nothing that has no name here gets through.

Form or JSON, all values are text in the end. It knows the request and its caller, and neither Redis nor the bucket.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from flask import Request, g, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

import outbound
import queue_lib
from auth import is_name
from queue_lib import PRIORITIES
from storage import MAX_FILE, TOO_LARGE
from webhooks import Hooks

MAX_TEXT = 64 * 1024
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
OPTIONS = {"userId", "priority", "maxPhrases", "maxWords", "knownWords", "minCefr", "webhookUrl"}
NO_DOCUMENT = "This is no PDF, Word or text file, and no picture."
KNOWN = re.compile(rb"PK\x03\x04|\x89PNG|\xff\xd8\xff|II[*+]\0|MM\0[*+]|RIFF....WEBP|\xff\xfe|\xfe\xff", re.DOTALL)


def fields_of(sent: Request, known: set[str]) -> dict[str, str]:
    """The named values of a form or of a JSON object, each as text; a misspelt one is heard of, nothing smuggled in."""
    if sent.mimetype != "multipart/form-data":
        sent.max_content_length = MAX_TEXT + 1  # what has no parts is read into memory whole
        if len(sent.get_data()) > MAX_TEXT:  # without a length it is cut off there, and nothing said
            raise RequestEntityTooLarge
    if sent.mimetype == "application/json":
        fields = json_of(sent)
        names = list(fields)
    elif sent.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded", ""):
        fields = dict(sent.form)
        names = [name for name, _ in (*sent.form.items(multi=True), *sent.files.items(multi=True))]
    else:
        raise UnsupportedMediaType("Send a form (multipart/form-data), or JSON where there is no file.")
    if unknown := sorted(map(str, {*names} - known)):  # a part of a form may have no name
        raise BadRequest(f"Unknown field: {unknown[0][:40]!r}.")
    if len({*names}) < len(names):
        raise BadRequest("A field is there twice: send each once, and one document at a time.")
    return {name: value.strip() for name, value in fields.items()}


def json_of(sent: Request) -> dict[str, str]:
    """A flat JSON object, whatever a parser could be led to do with another."""

    def flat(pairs: list[tuple[str, Any]]) -> dict[str, str]:
        plain = [(name, value) for name, value in pairs if isinstance(value, str | int) and not isinstance(value, bool)]
        fields = {name: str(value) for name, value in plain}
        "".join([*fields, *fields.values()]).encode()  # half a surrogate pair is no text: neither store would take it
        if len(fields) < len(pairs):
            raise ValueError("a field twice, or one that is neither text nor a whole number")
        return fields

    try:
        fields = json.loads(sent.get_data(), object_pairs_hook=flat, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadRequest("This is no JSON object of texts and whole numbers, each named once.")
    return fields


def refuse(told: str) -> None:
    """For what JSON may hold and we do not take."""
    raise ValueError(told)


def checked_file(upload: Request) -> tuple[FileStorage, int]:
    """The one document of a form and its size in bytes."""
    file = upload.files.get("file")
    if file is None:
        raise BadRequest('No file: send the document as the form field "file".')
    size = file.stream.seek(0, 2)
    file.stream.seek(0)
    if size > MAX_FILE:
        raise BadRequest(TOO_LARGE)
    if size == 0:
        raise BadRequest("The file is empty.")
    return file, size


def checked_user(named: str) -> str:
    """The user that a request is about: the token's, or the one that it names where no token is."""
    user = g.caller.acts_for(named.strip())
    if not user:
        raise BadRequest('No userId: send it as the field "userId".')
    if not is_name(user):
        raise BadRequest("The userId must be at most 200 printable characters, and neither . nor ..")
    return user


def checked_most() -> int:
    """How many jobs of a list are wanted."""
    told = request.args.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,3}", told) or not 1 <= int(told) <= 100:
        raise BadRequest("limit must be a number from 1 to 100.")
    return int(told)


def checked_cursor() -> tuple[int, str] | None:
    """Where a list goes on: the `cursor` of the page before."""
    cursor = request.args.get("cursor")
    if cursor is None:
        return None
    created, _, job_id = cursor.partition(".")
    if not re.fullmatch(r"[0-9]{1,15}", created) or not JOB_ID.fullmatch(job_id):
        raise BadRequest("The cursor is none that this service gave.")
    return int(created), job_id


def checked_options(fields: dict[str, str]) -> dict[str, str]:
    """The optional fields of a form, as they will stand in the job's hash."""
    options = {}
    for name, most in (("maxPhrases", 200), ("maxWords", 200)):
        value = fields.get(name, "")
        if value:
            if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > most:
                raise BadRequest(f"{name} must be a number from 0 to {most}.")
            options[name] = str(int(value))
    known = fields.get("knownWords", "")
    if len(known) > MAX_TEXT:  # it stays in Redis with its job, and a user may have thousands of them
        raise BadRequest(f"knownWords must be at most {MAX_TEXT} characters long.")
    if known:
        options["knownWords"] = known
    level = fields.get("minCefr", "").upper()
    if level:
        if level not in ("A1", "A2", "B1", "B2", "C1", "C2"):
            raise BadRequest("minCefr must be A1, A2, B1, B2, C1 or C2.")
        options["minCefr"] = level
    return options


def checked_webhook(fields: dict[str, str], hooks: Hooks) -> dict[str, str]:
    """The receiver that is to be told of a job's end, as it will stand in the job's hash."""
    url = fields.get("webhookUrl", "")
    if not url:
        return {}
    if not hooks:
        raise BadRequest("This service sends no webhooks: its WEBHOOK_SECRET is not set.")
    try:
        outbound.find(url, "The webhookUrl", hooks.allowed)
    except outbound.Refused as error:
        raise BadRequest(str(error)) from None
    except outbound.Transient:
        raise BadRequest("The webhookUrl's host cannot be found.") from None
    if len(url) > 2000:
        raise BadRequest("The webhookUrl must be at most 2000 characters long.")
    return {"webhookUrl": url}


def checked_priority(fields: dict[str, str]) -> int | None:
    """2, 1 or 0, as the specification has it, or None where nothing was said."""
    value = fields.get("priority", "").lower()
    if not value:
        return None
    named = {**PRIORITIES, **{str(number): number for number in PRIORITIES.values()}}
    if value not in named:
        raise BadRequest("priority must be high, normal or low (or 2, 1 or 0).")
    return named[value]


def checked_key(upload: Request) -> str:
    """The Idempotency-Key of a request, "" for none."""
    key = upload.headers.get("Idempotency-Key", "").strip()
    if len(key) > 255 or not key.isprintable():
        raise BadRequest("The Idempotency-Key must be at most 255 printable characters.")
    return key


def digest_of(user: str, sha256: str, version: str, options: Mapping[str, str]) -> str:
    """What a result depends on: whose it is, the document, the pipeline and what was wished for."""
    parts = [user, sha256, version, sorted((n, v) for n, v in options.items() if n not in ("webhookUrl", "digest"))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def checked_sha256(fields: dict[str, str]) -> str:
    """The SHA-256 of a file that is to come, "" for none told: what it names wrongly is its user's own."""
    told = fields.get("sha256", "").lower()
    if told and not re.fullmatch("[0-9a-f]{64}", told):
        raise BadRequest("sha256 must be 64 hexadecimal digits.")
    return told


def checked_size(fields: dict[str, str]) -> int:
    """The size of a file that is to come, in bytes."""
    told = fields.get("size", "")
    if not re.fullmatch("[0-9]{1,15}", told) or int(told) == 0:
        raise BadRequest('No size: send the file\'s size in bytes as the field "size".')
    if int(told) > MAX_FILE:
        raise BadRequest(TOO_LARGE)
    return int(told)


def looks_like_a_document(head: bytes) -> bool:
    """Whether a file that begins so may be one that the pipeline reads; what it really is the worker finds out."""
    wide = b"\0" not in head[::2] or b"\0" not in head[1::2]  # as text is, also in UTF-16 without its mark
    return wide or bool(KNOWN.match(head)) or b"%PDF-" in head


def clean_name(name: str) -> str:
    """What people called their file: shown, never used as a path."""
    name = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in name if c.isprintable()).strip()[:255] or "document"


def job_not_found() -> HTTPException:
    """The one answer for an id that nobody knows, one that nobody may know, and one that cannot be."""
    return coded(NotFound("Job not found"), "job_not_found")


def coded(error: HTTPException, code: str) -> HTTPException:
    """The same error with a code of its own; without one, it is HTTP's name of it."""
    error.word = code  # type: ignore[attr-defined]
    return error


class Polls:
    """How often something may be asked for in this process: `rate` times a second, and twice as often for a moment.

    By job and by who asks: users share addresses, and nobody uses up another's share.
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._lock = rate, threading.Lock()
        self._left: dict[tuple[str | None, str], tuple[float, float]] = {}

    def allows(self, poll: tuple[str | None, str]) -> bool:
        """Whether this one may be answered; it counts if so."""
        now = time.monotonic()
        with self._lock:
            left, when = self._left.pop(poll, (2 * self._rate, now))
            left = min(2 * self._rate, left + (now - when) * self._rate)
            self._left[poll] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > 10_000:
                del self._left[next(iter(self._left))]  # the one that was asked for longest ago
        return left >= 1


class Closed:
    """Users whose limit was just met: in this process they are refused before their file costs anything."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, queue_lib.TooMany]] = {}

    def close(self, user: str, error: queue_lib.Full) -> None:
        """Refuse a user for as long as nothing can have changed; his open jobs may end at any time."""
        if isinstance(error, queue_lib.TooMany) and error.window:
            if len(self._until) > 10_000:
                self._until.clear()
            self._until[user] = (time.monotonic() + error.seconds, error)

    def check(self, user: str) -> None:
        """Raises what was raised before, with what is left of its time."""
        until, error = self._until.get(user, (0, None))
        error_seconds = until - time.monotonic()
        if error is not None and error_seconds > 0:
            raise queue_lib.TooMany(str(error), error.name, error.most, error.window, error_seconds)
