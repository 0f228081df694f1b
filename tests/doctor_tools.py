"""What the doctor's tests share: an environment to make worse, and a bucket that is odd."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

import doctor

SECRET = "a-very-secret-secret-of-32-signs-and-more"
Set = Callable[..., None]


def told(findings: doctor.Findings) -> str:
    return "\n".join(f"{mark} {text}" for mark, text in findings)


@pytest.fixture
def set_env(servers: dict[str, str], mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets variables beside those of the shared servers, or takes them away: None."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers keys

    for name in {*doctor.NAMES} - {*servers}:
        monkeypatch.delenv(name, raising=False)
    for name in servers:  # what the doctor takes out comes back
        monkeypatch.setenv(name, servers[name])
    change(MONGODB_URI=mongo_uri)
    return change


class OddBucket(BaseHTTPRequestHandler):
    """A bucket that does whatever it is asked, but for what its server's `quirk` says."""

    server: "OddServer"
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        quirk, code = self.server.quirk, ""
        checked = any(name.lower().startswith("x-amz-checksum") for name in self.headers)
        if self.command == "PUT" and quirk == "refuses checksums" and checked:
            code = "NotImplemented"
        if self.command == "PUT" and quirk == "wants checksums" and not checked:
            code = "InvalidRequest"
        if self.command == "PUT" and quirk == "tells the key":
            code = "Odd"
        if self.command == "PUT" and quirk == "refuses links" and "X-Amz-Signature" in self.path:
            code = "AccessDenied"
        text = f"Content-MD5 or x-amz-checksum- is required ({self.headers.get('Authorization')})"
        body = f"<Error><Code>{code}</Code><Message>{text if code != 'Odd' else text[11:]}</Message></Error>"
        self.send_response_only(400 if code else 200)
        late = 600 if quirk == "is late" else 0
        self.send_header("Date", self.date_time_string(time.time() - late))
        self.send_header("Content-Length", str(len(body) if code else 0))
        self.end_headers()
        self.wfile.write(body.encode() if code else b"")

    do_PUT = do_GET = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_: object) -> None:
        pass


class OddServer(ThreadingHTTPServer):
    quirk = ""


@contextlib.contextmanager
def odd_bucket(quirk: str) -> Iterator[str]:
    with OddServer(("127.0.0.1", 0), OddBucket) as server:
        server.quirk = quirk
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
