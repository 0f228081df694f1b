"""Looks at all that Docdeck needs in the place where this is run, and says what to change there.

    python dev.py doctor [--workers N]         with the variables of the service; or: python doctor.py [--workers N]

A line for each check: OK; LOOK for what is no mistake by itself, or cannot be told from here; CHANGE. The exit code is
1 if anything has to be changed. It mends nothing. What it writes to see whether it can is removed again, also when it
is interrupted, and no secret is printed. The commands that it tries are in the rooms that own them.
"""

import argparse
import contextlib
import difflib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from urllib.parse import unquote, urlsplit

import outbound
import storage
from auth import Auth
from fleet import LOOP_MB
from pipeline import ocr, pronunciation
from pipeline.wordnet import NOUN
from queue_lib import Queue, Unavailable, WrongPassword
from records import BadAddress, Records
from storage import Storage
from webhooks import Hooks

OK, LOOK, CHANGE = "OK", "LOOK", "CHANGE"
Findings = Iterator[tuple[str, str]]

ADDRESS = r"https?://[^\s/?#,]+"
NUMBERS = {  # the least that each may be
    **dict.fromkeys(("PORT", "WEB_CONCURRENCY", "JOB_TIMEOUT", "JOB_MEMORY_MB", "MAX_ATTEMPTS", "JOB_TTL"), 1),
    **dict.fromkeys(("LOW_MAX_WAIT", "FILE_TTL", "USER_WINDOW", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS"), 0),
    **dict.fromkeys(("MAX_QUEUE_LENGTH", "MAX_USER_JOBS", "MAX_UPLOADS_PER_MINUTE", "MAX_BYTES_PER_DAY"), 1),
    "POLLS_PER_SECOND": 1,
    "RESULT_TTL": 1,
}
FORMS = {
    "MONGODB_URI": (r"mongodb(\+srv)?://.+", "a mongodb:// or mongodb+srv:// address"),
    "S3_BUCKET": (r"[A-Za-z0-9][A-Za-z0-9._-]+", "the name of a bucket, without an address or a folder"),
    "AWS_ENDPOINT_URL_S3": (f"{ADDRESS}/?", "an address without the bucket: https://ACCOUNT.r2.cloudflarestorage.com"),
    "FILES_CDN_URL": (f"{ADDRESS}/?", "an address without a path"),
    "CORS_ORIGINS": (rf"{ADDRESS}(\s*,\s*{ADDRESS})*", "origins without a path or a slash: https://app.example"),
    "SENTRY_DSN": (r"https?://[^@/\s]+@[^/\s]+/.*\d", "a DSN: https://KEY@HOST/PROJECT"),
    "OPEN_ACCESS": ("[01]", "0 or 1"),
}
REDIS = ("UPSTASH_REDIS_URL", "REDIS_URL")
NEEDED = ("MONGODB_URI", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AUTH_SECRET", "API_KEYS", "ADMIN_TOKEN", "WEBHOOK_SECRET")
OTHERS = (
    *("AWS_REGION", "ALLOWED_FILE_HOSTS", "VI_DICTIONARY", "DD_SERVICE", "DD_ENV", "DD_VERSION", "RAILWAY_PROJECT_ID"),
    *("RAILWAY_ENVIRONMENT_NAME", "RAILWAY_GIT_COMMIT_SHA", "RAILWAY_PUBLIC_DOMAIN"),
)
NAMES = {*REDIS, *NEEDED, *SECRETS, *NUMBERS, *FORMS, *OTHERS}

SLOW, SKEWED = 0.1, 60  # seconds
WRONG_KEYS = "The bucket refuses its keys: copy AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY again, from one token."
REFUSED = {
    "InvalidAccessKeyId": WRONG_KEYS,
    "SignatureDoesNotMatch": WRONG_KEYS,
    "Unauthorized": WRONG_KEYS,
    "AccessDenied": "The keys may not write to the bucket: give their token read and write on the one in S3_BUCKET.",
    "NoSuchBucket": "There is no bucket of the name in S3_BUCKET: make it, or correct the name.",
}


def look(workers: int) -> Findings:
    """All that there is to say about this environment, in which so many documents are worked on at once."""
    yield from settings()
    yield from access()
    yield from machine(workers)
    yield from queue()
    if all(os.environ.get(name) for name in NEEDED):
        try:
            with (
                contextlib.closing(Storage.from_env(silence=10)) as files,
                contextlib.closing(Records.from_env(files, answer=5)) as records,
            ):
                yield from database(records)
                yield from bucket(files)
        except BadAddress:
            yield CHANGE, "MONGODB_URI or AWS_ENDPOINT_URL_S3 cannot be read: percent-encode a password's signs."


def settings() -> Findings:
    """The variables, by themselves. What is malformed is taken out, so that the rest can be looked at."""
    for name in sorted(os.environ.keys() - NAMES):
        meant = difflib.get_close_matches(name, NAMES - os.environ.keys(), 1, 0.78)
        if meant and not name.startswith("RAILWAY_"):  # which sets a lot of them itself
            yield LOOK, f"{name} is set, and is nothing of Docdeck's: is {meant[0]} meant?"
    missing = [name for name in NEEDED if not os.environ.get(name)]
    wrong = len(missing)
    for name in sorted(NAMES & os.environ.keys()):
        value = os.environ[name].strip().strip("\"'").strip()
        form, what = FORMS.get(name, (".*", ""))
        least = NUMBERS.get(name)
        if value != os.environ[name]:
            yield CHANGE, f"{name} has blanks or quotes around its value, which count as a part of it: remove them."
        elif value and not re.fullmatch(form, value):
            yield CHANGE, f"{name} is not {what}."
            value = ""
        elif least is not None and not (value.isdecimal() and int(value) >= least):
            yield CHANGE, f"{name} is not a whole number of at least {least}; without it there is a default."
            value = ""
        else:
            continue
        wrong += 1
        os.environ[name] = value
        if not value:
            del os.environ[name]
    if missing:
        yield CHANGE, f"Not set, and needed: {', '.join(missing)}. README.md has the table of variables."
    if not wrong:
        yield OK, "The variables are well-formed."


def access() -> Findings:
    """Who is let in, and what is signed."""
    for build in (Auth.from_env, Hooks.from_env):
        try:
            rules = build()
        except SystemExit as said:
            yield CHANGE, str(said)
            continue
        if isinstance(rules, Auth) and rules.open:
            yield LOOK, "Anybody may see and upload everything, as neither AUTH_SECRET nor API_KEYS is set."
        elif isinstance(rules, Auth):
            yield OK, "Nobody is let in without a token."


def machine(workers: int, python: tuple[int, int] = sys.version_info[:2]) -> Findings:
    """Python, memory, disk, and what is installed beside the packages."""
    fits = (3, 11) <= python <= (3, 13)
    yield OK if fits else LOOK, f"This is Python {python[0]}.{python[1]}; Docdeck is tested on 3.11, 3.12 and 3.13."
    wanted = workers * (int(os.environ.get("JOB_MEMORY_MB") or 1024) + LOOP_MB)
    there = memory() >> 20
    text = f"Working on {workers} at a time can take {wanted} MB of memory, and {there} MB are there"
    advice = "give the service more, start fewer workers or lower JOB_MEMORY_MB"
    yield (OK, f"{text}.") if wanted <= there else (CHANGE, f"{text}: {advice}.")
    free = shutil.disk_usage(tempfile.gettempdir()).free >> 20
    wanted = workers * (storage.MAX_FILE >> 20)
    text = f"Their downloads can take {wanted} MB of {tempfile.gettempdir()}"
    yield (OK, f"{text}.") if wanted <= free else (CHANGE, f"{text}, and only {free} MB are free: that is too little.")
    if ocr.tessdata():
        yield OK, "Scans can be read."
    else:
        yield LOOK, "Scans cannot be read: that takes requirements-ocr.txt and Debian's tesseract-ocr-eng."
    try:
        pronunciation.british("voice", NOUN)
        yield OK, "eSpeak NG speaks."
    except (RuntimeError, ImportError, OSError, StopIteration) as error:
        yield CHANGE, f"eSpeak NG does not speak, and every document fails: install requirements.txt anew ({error})."
    dictionary = os.environ.get("VI_DICTIONARY")
    if dictionary and not Path(dictionary).is_file():
        yield CHANGE, "VI_DICTIONARY names no file that is here: correct the path, or leave it out."
    if os.environ.get("RAILWAY_PROJECT_ID"):
        seconds = int(os.environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS") or 0)
        text = f"Railway leaves a process {seconds} seconds to end"
        advice = "set RAILWAY_DEPLOYMENT_DRAINING_SECONDS to 60 for the worker and 35 for the API"
        yield (OK, f"{text}.") if seconds > 5 else (CHANGE, f"{text}, and each deploy breaks off what runs: {advice}.")


def memory() -> int:
    """Bytes that this container may use."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # the other kind of cgroups; "max"
            limits.append(int(Path(file).read_text()))
    return min(limits)


def queue() -> Findings:
    """Redis: whether it can be reached, keeps what it is given, and lets us do what the queue does."""
    url = os.environ.get("UPSTASH_REDIS_URL") or os.environ.get("REDIS_URL") or ""
    if url.startswith("redis://") and is_public(url):
        yield CHANGE, "Redis is spoken to without TLS over the open internet: use rediss://, or a private address."
    try:
        facts = Queue.from_env(answer=2).examine()
    except SystemExit as said:
        yield CHANGE, str(said)
        return
    except ValueError:
        yield CHANGE, "UPSTASH_REDIS_URL cannot be read: percent-encode what is special in its password."
        return
    except WrongPassword:
        yield CHANGE, "Redis refuses the user or password in UPSTASH_REDIS_URL: copy its address again."
        return
    except Unavailable as error:
        yield CHANGE, f"Redis does not answer ({error}): is its address right, is it up, does it want rediss://?"
        return
    yield from pace("Redis", facts)
    info = facts["info"]
    hidden = [name for name in ("maxmemory_policy", "aof_enabled") if name not in info]
    if hidden:
        yield LOOK, "This Redis does not tell how it keeps data: its console has to say: it persists, it never evicts."
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        yield CHANGE, f"A full Redis drops jobs, by {info['maxmemory_policy']}: set maxmemory-policy noeviction."
    if info.get("aof_enabled") == 0:
        yield CHANGE, "Redis forgets jobs when it is killed, as AOF is off: set appendonly yes."
    if info.get("role") == "slave":
        yield CHANGE, "This Redis is a replica, which others write to: name the primary in UPSTASH_REDIS_URL."
    if facts["lacking"]:
        some = ", ".join(facts["lacking"][:5])
        yield CHANGE, f"Redis denies this user {some}: allow all of them on document_queue*, job:* and worker:*."
    if facts["trouble"]:
        yield CHANGE, f"Redis refuses what the queue does: {facts['trouble']}"
    elif not facts["lacking"]:
        yield OK, "Redis runs the queue's scripts and writes."


def is_public(url: str) -> bool:
    """Whether a server is reached over the open internet; no for one whose name is unknown."""
    with contextlib.suppress(OSError, ValueError):
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
        return any(outbound.is_public(str(address[0])) for *_, address in found)
    return False


def pace(server: str, facts: Mapping[str, float]) -> Findings:
    """How far away a server is, and what time it has."""
    text = f"{server} takes {facts['seconds'] * 1000:.0f} ms for an answer"
    far = facts["seconds"] > SLOW
    yield (CHANGE, f"{text}: put it into the region of this service.") if far else (OK, f"{text}.")
    yield from clock(server, facts["ahead"])


def clock(server: str, ahead: float) -> Findings:
    """Whether this machine's clock and a server's agree."""
    if abs(ahead) > SKEWED:
        text = f"This clock is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} that of {server}"
        yield CHANGE, f"{text}: let NTP set it, as links to the bucket are signed by it and refused at 15 minutes."


def database(records: Records) -> Findings:
    """MongoDB: whether it can be reached, written to, and is prepared."""
    try:
        facts = records.examine()
    except storage.Unavailable as error:
        cause = error.__cause__
        if getattr(cause, "code", None) in (18, 8000):  # the second one is Atlas'
            yield CHANGE, "MongoDB refuses the user or password in MONGODB_URI: percent-encode them, or make new ones."
        else:
            text = f"MongoDB does not answer ({type(cause).__name__}: {str(cause)[:150]})"
            yield CHANGE, f"{text}: is MONGODB_URI right, is it up, is this address let in (Atlas: Network Access)?"
        return
    yield from pace("MongoDB", facts)
    if not facts["replicated"]:
        yield LOOK, "This MongoDB is no replica set: a write whose answer is lost is not tried again. Atlas is one."
    if not facts["acknowledged"]:
        yield CHANGE, "MongoDB is not waited for, so that results get lost: say w=majority in MONGODB_URI, not w=0."
    if facts["trouble"]:
        yield CHANGE, f"MongoDB does not let this user write ({facts['trouble']}): give it readWrite on the database."
        return
    yield OK, "MongoDB can be written to."
    if facts["lacking"]:
        lacking = "; ".join(facts["lacking"])
        yield CHANGE, f"MongoDB lacks indexes, which a worker makes at its start: see why not in its log ({lacking})."


def bucket(files: Storage) -> Findings:
    """The bucket: whether its keys do what is done with them, strangers can do nothing, and links and pages work."""
    key = files.upload_key("doctor", socket.gethostname())
    try:
        code, text, ahead = files.attempt("write", key)
        yield from clock("the bucket", ahead)
        if re.search("checksum|digest|md5|sha256", code + text, re.IGNORECASE):
            yield CHANGE, f"The bucket wants a checksum with each file ({text}): switch Object Lock off."
        elif code:
            unknown = f"The bucket takes no file ({code}: {text}): is AWS_ENDPOINT_URL_S3 right, is it up?"
            yield CHANGE, REFUSED.get(code, unknown)
        if code:
            return
        yield OK, "The bucket takes files."
        if files.attempt("write with a checksum", key)[0]:
            told = "which Docdeck never sends; programs of your own need request_checksum_calculation='when_required'"
            yield LOOK, f"The bucket refuses files with a checksum (x-amz-checksum-crc32), {told}."
        yield from links(files, key)
    finally:
        code, text, _ = files.attempt("delete", key)
    if code:
        yield CHANGE, f"The keys may not delete in the bucket, and {key} is left there: allow it ({code})."


def links(files: Storage, key: str) -> Findings:
    """What those can do who have a link to a file, and those who have none."""
    for link, whose in ((files.link(key), "AWS_ENDPOINT_URL_S3"), (files.person_link(key, "a"), "FILES_CDN_URL")):
        if (status := ask("GET", link)[0]) != 200:
            yield CHANGE, f"A signed link to a file is answered with {status}: is {whose} one that all can reach?"
        if ask("GET", link.partition("?")[0])[0] == 200:
            yield CHANGE, "The bucket is public, and shows everybody's documents to anybody: make it private."
            break
    if "r2.cloudflarestorage" in link:
        yield LOOK, "Whether R2 shows the bucket at an address of its own (r2.dev) stands in its settings: not allowed?"
    upload = files.upload_link(key, 7)
    if (status := ask("PUT", upload, body=b"docdeck")[0]) != 200:
        yield CHANGE, f"A page cannot upload to the bucket: a signed PUT is answered with {status}."
    domain = os.environ.get("RAILWAY_PUBLIC_DOMAIN")
    origins = [origin.strip() for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin.strip()]
    origins += [f"https://{domain}"] if domain else []
    if not origins:
        yield LOOK, "Whether a page may upload to the bucket is not known, as CORS_ORIGINS names no page's origin."
    for origin in origins:
        wish = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        if ask("OPTIONS", upload, wish)[1] in ("*", origin):
            yield OK, f"Pages of {origin} may upload to the bucket."
        else:
            yield CHANGE, f"Pages of {origin} may not upload to the bucket: give it a CORS rule that allows them PUT."


def ask(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, str]:
    """A request to the bucket as anybody could make it: its status, 0 for no answer, and whose pages may make it."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310  the bucket's own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.headers.get("Access-Control-Allow-Origin", "")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def secrets() -> list[str]:
    """What must not be printed: the secrets among the variables, and the passwords in addresses."""
    told = [os.environ.get(name, "") for name in SECRETS]
    for name in (*REDIS, "MONGODB_URI", "SENTRY_DSN"):
        told += re.findall(r"//(?:[^:@/]*:)?(.*)@", os.environ.get(name, ""))
    return [text for secret in told for text in (secret, unquote(secret)) if len(secret) > 3]


def stop(number: int, frame: FrameType | None) -> None:
    """Once: nothing interrupts the removal of what was written."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Look, and tell."""
    parser = argparse.ArgumentParser(description="See whether Docdeck can run here, and what to change if not.")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="how many documents at once (1); 0: an API")
    workers = parser.parse_args().workers
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    hidden, changes = secrets(), 0
    try:
        for mark, text in look(workers):
            changes += mark == CHANGE
            for secret in hidden:
                text = text.replace(secret, "***")
            print(f"{mark:6}  {text}", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{changes} to be changed." if changes else "Nothing has to be changed.")
    sys.exit(int(changes > 0))


if __name__ == "__main__":
    main()
