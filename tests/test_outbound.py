"""Where requests to strangers may go and where not, on real sockets; DNS alone is answered by the test."""

import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import outbound
from outbound import Place, Refused, Transient, find, is_public, opened
from storage import Storage
from tests.support import need, wait_until

NOBODY: frozenset[str] = frozenset()
PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
    "224.0.0.1", "198.18.0.1", "192.0.0.8", "::1", "::", "fd00::1", "fd12:3456:789a::1", "fe80::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "ff02::1",
    "::ffff:0:7f00:1", "64:ff9b:1::1", "2001::1", "5f00::1", "4000::1",
]  # fmt: skip
ATTACKS = {
    "loopback": "https://127.0.0.1/",
    "decimal": "https://2130706433/",
    "hex": "https://0x7f.1/",
    "short": "https://127.1/",
    "octal": "https://0177.0.0.1/",
    "circled digits": "https://①②⑦.⓪.⓪.①/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "ipv6 loopback": "https://[::1]/",
    "railway's network": "https://[fd00::1]/",
    "railway's names": "https://redis.railway.internal/",
    "railway's names with another dot": "https://redis.railway.internal\u3002/",
    "localhost": "https://localhost/",
    "localhost with a dot": "https://localhost./",
    "nat64": "https://[64:ff9b::a9fe:a9fe]/",
    "6to4": "https://[2002:7f00:1::]/",
    "mapped": "https://[::ffff:127.0.0.1]/",
    "userinfo": "https://good.example@127.0.0.1/",
    "a name of its own": "https://good@8.8.8.8/",
    "plain http": "http://8.8.8.8/",
    "odd port": "https://8.8.8.8:6379/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "no host": "https:///x",
    "bad port": "https://8.8.8.8:99999/",
    "header in it": "https://8.8.8.8/\r\nHost: x",
    "open bracket": "https://[::1/",
}


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_open_internet_is_told_apart(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", ATTACKS.values(), ids=ATTACKS)
def test_a10_no_way_to_write_an_address_leads_inside(url: str) -> None:
    with pytest.raises(Refused, match=r"^The webhookUrl .*\.$"):
        find(url, "The webhookUrl", NOBODY)


def test_a10_the_worker_refuses_a_job_whose_file_is_inside(
    files: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_FILE_HOSTS", "files.example")
    with contextlib.closing(Storage.from_env()) as strict:
        for url in ATTACKS.values():
            with pytest.raises(Refused):
                strict.fetch(url, tmp_path / "document", lambda: False)


class Names:
    """DNS as the test wants it: each question about a name of .example is answered by the next of its answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[list[tuple[str, int]]] = []
        self.asked = 0
        real = socket.getaddrinfo

        def answer(host: Any, port: Any, *args: Any, **settings: Any) -> Any:
            if not str(host).endswith(".example"):
                return real(host, port, *args, **settings)
            self.asked += 1
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", sockaddr) for sockaddr in self.answers.pop(0)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def test_one_private_address_among_public_ones_is_enough_to_refuse(names: Names) -> None:
    names.answers = [[("8.8.8.8", 443), ("10.0.0.1", 443)]]
    with pytest.raises(Refused, match="does not visit"):
        find("https://mixed.example/", "It", NOBODY)


def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    with pytest.raises(Transient):
        find("https://nobody.invalid/", "It", NOBODY)


def test_a20_a_name_whose_servers_are_silent_is_left_after_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(20) and [])
    began = time.monotonic()
    with pytest.raises(Transient, match="cannot be found"):
        find("https://silent.example/", "It", NOBODY)
    answered.set()
    assert time.monotonic() - began < 5


def test_an_address_with_signs_that_no_request_can_have_is_written_as_one_can() -> None:
    assert find("https://8.8.8.8/a b/é%20?q=ü&x=1", "It", NOBODY).path == "/a%20b/%C3%A9%20?q=%C3%BC&x=1"


def test_an_allowed_host_may_be_private_and_http_with_or_without_its_port() -> None:
    assert find("http://127.0.0.1:81/a?b", "It", {"127.0.0.1"}).path == "/a?b"
    assert find("http://127.0.0.1:81/", "It", {"127.0.0.1:81"}).port == 81
    with pytest.raises(Refused):
        find("http://127.0.0.1:82/", "It", {"127.0.0.1:81"})


def visit(url: str, seconds: float, allowed: str = "127.0.0.1") -> bytes:
    with opened(url, "It", {allowed}, seconds) as answer:
        return b"".join(answer.pieces)


class TlsServer:
    """An https server whose certificate is good for files.example; what it was asked for, and with which name."""

    def __init__(self, folder: Path) -> None:
        certificate, key = folder / "cert.pem", folder / "key.pem"
        command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=files.example"
        command += f" -addext subjectAltName=DNS:files.example -keyout {key} -out {certificate}"
        subprocess.run([need("openssl", "openssl"), *command.split()], check=True, capture_output=True)
        self.certificate = certificate
        self.names: list[str | None] = []
        self.hosts: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        hosts = self.hosts

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hosts.append(self.headers["Host"])
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    with contextlib.closing(TlsServer(tmp_path)) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        yield server


def test_a11_the_connection_goes_to_the_address_that_was_checked_with_the_name_kept_for_tls(
    tls: TlsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")  # for the test's server only
    # Public when it is checked; what it would mean a moment later is never asked.
    names.answers = [[("127.0.0.1", tls.server.server_port)], [("10.0.0.1", 443)]]
    with opened("https://files.example/a.pdf", "It", NOBODY, 5) as answer:
        assert (answer.status, b"".join(answer.pieces)) == (200, b"ok")
    assert names.asked == 1
    assert (tls.names, tls.hosts) == (["files.example"], ["files.example"])


def test_a_certificate_of_another_name_is_refused(tls: TlsServer, names: Names) -> None:
    names.answers = [[("127.0.0.1", tls.server.server_port)]]
    with pytest.raises(Transient, match="SSLCertVerificationError"):
        visit("https://other.example/", 5, "other.example")
    assert tls.hosts == []


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that does this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def loop() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    threading.Thread(target=quietly, args=[line], daemon=True).start()

        def quietly(line: socket.socket) -> None:
            with contextlib.suppress(OSError), line:
                serve(line)

        threading.Thread(target=loop, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("part", ["status", "headers", "body"])
def test_a12_a_server_that_drips_is_left_at_the_deadline_wherever_it_is(part: str) -> None:
    begin = {"status": b"H", "headers": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\n\r\n"}[part]
    left = threading.Event()

    def drip(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(begin)
        try:
            for _ in range(400):  # not for ever: this test must also be able to fail
                if left.wait(0.05):
                    break
                line.sendall(b"x")
        finally:
            left.set()

    began = time.monotonic()
    with listening(drip) as url, pytest.raises(Transient, match=r"longer than 0\.5 seconds"):
        visit(url, 0.5)
    assert time.monotonic() - began < 5
    wait_until(left.is_set, 5, "the end of the line")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"",
    ],
    ids=["wrong length", "chunks that end", "no chunks", "1000 headers", "no http", "a long header", "nothing"],
)
def test_a12_an_answer_that_is_none_is_worth_another_try_and_no_more(said: bytes) -> None:
    def answer_and_go(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(said)

    with listening(answer_and_go) as url, pytest.raises(Transient):
        visit(url, 5)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://10.255.255.1:3128")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def say_ok(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with listening(say_ok) as url, opened(url, "It", {"127.0.0.1"}, 5) as answer:
        assert b"".join(answer.pieces) == b"ok"
    assert os.environ["HTTP_PROXY"]


def test_a_name_with_many_addresses_that_say_nothing_takes_no_longer_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        waiting = [socket.create_connection(address)]
        with contextlib.suppress(TimeoutError):  # its line is full: from now on it answers nobody
            while True:
                waiting.append(socket.create_connection(address, 0.3))
        place = Place(False, "deaf.test", address[1], "/", [(socket.AF_INET, address)] * 50)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            outbound._connect(place, began + 0.5)
        assert time.monotonic() - began < outbound.CONNECT
        for line in waiting:
            line.close()
