"""Files: the objects of the S3 (or R2) bucket, links to them, and the download of a job's document.

It knows nothing of Redis or MongoDB, or of what a document says. Sizes are bytes, times seconds. What went wrong is one
of three: `Unavailable` (the bucket is away, or the disk is full: nobody's file can be had), `Transient` (this file
cannot be had now) and `Refused` (it never will be; the text is a sentence for the person who uploaded it).
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import outbound
from outbound import Refused, Transient

MAX_FILE = 50 * 1024 * 1024
SHORT_LINK = 900  # seconds, for links that people are given
LINK_SECONDS = 7 * 86400  # the longest that S3 and R2 sign for: a link has to outlive any backlog
FETCH_SECONDS = 600

TOO_LARGE = "File too large (max 50MB)"
GONE = "The uploaded file is no longer there. Please upload it again."


class Unavailable(Exception):
    """The bucket or MongoDB is away, or the disk is full: whatever needs it has to wait."""


class Forbidden(Exception):
    """A file's server wants other credentials than the link has."""


class Storage:
    """One bucket. Safe to share between threads; build it after a fork, never before.

    pool: connections. connect: seconds for making one. silence: seconds for which the bucket may say nothing; one that
    takes in ten files of 50 MB at once is silent for a while.
    """

    def __init__(
        self, bucket: str, *, endpoint: str | None = None, pool: int = 10, connect: float = 3, silence: float = 20
    ) -> None:
        self.bucket, self._endpoint, self._allowed = bucket, endpoint, outbound.allowed_hosts()
        self._cdn = os.environ.get("FILES_CDN_URL", "")
        # R2 refuses the checksum trailers that boto3 sends by default, and knows one region. TLS guards what is sent:
        # signing its bytes as well would read each file once more.
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto", "payload_signing_enabled": False},
            connect_timeout=connect,
            read_timeout=silence,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=pool,
        )
        region = os.environ.get("AWS_REGION") or "auto"
        self._s3 = boto3.client("s3", region_name=region, endpoint_url=endpoint, config=config)

    @classmethod
    def from_env(cls, **settings: Any) -> "Storage":
        """The bucket that the environment names; exits with a sentence where it names none."""
        if not os.environ.get("S3_BUCKET"):
            raise SystemExit("Set S3_BUCKET: README.md has the table of variables.")
        return cls(os.environ["S3_BUCKET"], endpoint=os.environ.get("AWS_ENDPOINT_URL_S3") or None, **settings)

    def close(self) -> None:
        """Give the connections back."""
        self._s3.close()

    def put(self, file: IO[bytes], size: int, user: str, job_id: str) -> str:
        """Store an open file under a key of our own making; returns the key. A file name never becomes part of it."""
        key = self.upload_key(user, job_id)
        # S3's own word for a file of no named kind: without it SeaweedFS would compress what looks like text.
        told = {"ContentLength": size, "ContentType": "binary/octet-stream"}
        with _s3_errors():
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=file, **told)
        return key

    @staticmethod
    def upload_key(user: str, job_id: str) -> str:
        """Where the upload of a user's job is."""
        return f"documents/{quote(user, safe='')}/{job_id}"

    @staticmethod
    def result_key(user: str, job_id: str) -> str:
        """Where the result of a user's job is, if MongoDB does not take it."""
        return f"results/{quote(user, safe='')}/{job_id}"

    def put_once(self, key: str, body: bytes) -> bool:
        """Store a file unless there is one; whether it was stored."""
        with _s3_errors():
            try:
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                return False
        return True

    def link(self, key: str) -> str:
        """An address that anybody can GET for seven days, so that a worker without our credentials can, too."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def has(self, key: str) -> bool:
        """Whether a file is there."""
        with contextlib.suppress(Refused), _s3_errors():
            self._s3.head_object(Bucket=self.bucket, Key=key)
            return True
        return False

    def person_link(self, key: str, name: str) -> str:
        """An address for a browser: for fifteen minutes, always a download, through the CDN if there is one."""
        shown = {
            "ResponseContentDisposition": f"attachment; filename=\"document\"; filename*=UTF-8''{quote(name, safe='')}",
            "ResponseContentType": "application/octet-stream",
        }
        url = self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key, **shown}, ExpiresIn=SHORT_LINK
        )
        if not self._cdn:
            return url
        there = urlsplit(self._cdn)  # which passes path and query on to the bucket, under the bucket's own name
        return urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc).geturl()

    def upload_link(self, key: str, size: int) -> str:
        """An address to which anybody can PUT just so many bytes within fifteen minutes."""
        wanted = {"Bucket": self.bucket, "Key": key, "ContentLength": size}  # signed: another size is refused
        return self._s3.generate_presigned_url("put_object", Params=wanted, ExpiresIn=SHORT_LINK)

    def upload_origin(self) -> str:
        """The origin of those addresses, which a page has to be allowed to speak to; known without credentials."""
        any_keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        region, config = self._s3.meta.region_name, self._s3.meta.config
        client = boto3.client("s3", region_name=region, endpoint_url=self._endpoint, config=config, **any_keys)
        there = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": self.bucket, "Key": "any"}))
        return f"{there.scheme}://{there.netloc}"

    def look_at(self, key: str) -> tuple[int, bytes]:
        """A file's size and its first bytes. Raises `Refused` if it is not there."""
        with _s3_errors():
            size = self._s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
            with contextlib.closing(
                self._s3.get_object(Bucket=self.bucket, Key=key, Range="bytes=0-1023")["Body"]
            ) as body:
                return size, body.read(1024)

    def read(self, key: str) -> bytes:
        """A file's bytes. Raises `Refused` if it is not there."""
        with _s3_errors():
            return self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        with _s3_errors():
            self._s3.delete_object(Bucket=self.bucket, Key=key)

    def key_of(self, url: str) -> str | None:
        """The key of an address in our own bucket, signed or not, in path or host style; None for any other."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
        ours = urlsplit(self._endpoint).hostname if self._endpoint else None
        amazon = re.fullmatch(r"(?:(.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com", host)
        if host == ours or (amazon and not amazon[1]):
            bucket, _, key = path.partition("/")
        elif (ours and host == f"{self.bucket}.{ours}") or (amazon and amazon[1] == self.bucket):
            bucket, key = self.bucket, path
        else:
            return None
        return key if key and bucket == self.bucket else None

    def fetch(self, url: str, target: Path, given_up: Callable[[], bool]) -> None:
        """Download a job's document; `given_up` is asked all the time, and ends it.

        Our own bucket is read with a link of our own making: the job's may have expired, or name a private bucket.
        Anybody else's server is visited as outbound.py allows.
        Raises `Refused` for what is not there or too large, `Transient` and `Unavailable` for what may work later.
        """
        key = self.key_of(url)
        try:
            if key:
                download(self.link(key), target, given_up, outbound.EVERYWHERE)
            else:
                download(url, target, given_up, self._allowed)
        except Forbidden as error:
            if key:
                self.ping()  # Unavailable if our keys are wrong, or the clock is; else it is this one key
                raise Transient(str(error)) from error
            raise Refused(f"The file could not be downloaded: {error}.") from error
        except Transient:
            if key:
                self.ping()  # Unavailable if the bucket itself is away; else it is this one file
            raise

    def ping(self) -> None:
        """Raises `Unavailable` unless the bucket is there and takes our keys."""
        try:
            self._s3.head_bucket(Bucket=self.bucket)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(f"the bucket cannot be used: {type(error).__name__}: {error}") from error

    def attempt(self, what: str, key: str) -> tuple[str, str, float]:
        """Try to "write" a small file, "write with a checksum" or "delete" it.

        Gives the code and the text of the error, "" and "" if it worked; and by how many seconds our clock is ahead.
        """
        file: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        try:
            if what == "delete":
                answer = self._s3.delete_object(**file)
            else:
                checksum = {"ChecksumAlgorithm": "CRC32"} if what == "write with a checksum" else {}
                answer = self._s3.put_object(**file, Body=b"docdeck", **checksum)
        except ClientError as error:
            answer = error.response
        except BotoCoreError as error:
            return type(error).__name__, str(error), 0
        said, date = answer.get("Error", {}), answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        ahead = time.time() - parsedate_to_datetime(date).timestamp() if date else 0
        return said.get("Code", ""), said.get("Message", ""), ahead


def download(url: str, target: Path, given_up: Callable[[], bool], allowed: Collection[str]) -> None:
    """GET a document into a file, at most MAX_FILE bytes in FETCH_SECONDS. allowed: as `outbound.opened` takes it."""
    try:
        with (
            outbound.opened(url, "The job's fileUrl", allowed, FETCH_SECONDS) as answer,
            target.open("wb") as out,
        ):
            _check_status(answer.status)
            if (answer.length or 0) > MAX_FILE:
                raise Refused(TOO_LARGE)
            for piece in answer.pieces:
                if given_up():
                    return
                out.write(piece)
                if out.tell() > MAX_FILE:
                    raise Refused(TOO_LARGE)
    except OSError as error:  # a full disk is this machine's fault, not the file's
        raise Unavailable(f"a download could not be written to disk: {error.strerror}") from error


def _check_status(code: int) -> None:
    if code in (404, 410):
        raise Refused(GONE)
    if code in (401, 403):
        raise Forbidden(f"its server answered {code}")
    if code in (408, 425, 429) or code >= 500:
        raise Transient(f"the file's server answered {code}")
    if code != 200:
        raise Refused(f"The file could not be downloaded: its server answered {code}.")


@contextlib.contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404"):
            raise Refused(GONE) from None
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500 or code == "SlowDown":
            raise Unavailable(f"the bucket answered {code}") from error
        raise Transient(f"the bucket answered {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"the bucket does not answer: {type(error).__name__}") from error
