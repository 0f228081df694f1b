"""Redis over TLS, as Upstash has it: rediss://, a certificate that is checked, and what is said of a bad one.

On Debian's redis-server, for the Redis of the other tests has no TLS, with a CA made for the occasion.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from queue_lib import Queue, WrongCertificate
from records import Records
from servers import leashed
from tests.queue_tools import make_queue, nothing_left, payload, take
from tests.redis_tools import blocked_clients
from tests.support import find_free_port, need, patience, running_api, wait_until
from tests.worker_tools import SAMPLE, ended, submit, worker_log, worker_process


def openssl(*arguments: str | Path) -> None:
    subprocess.run([need("openssl", "openssl"), *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A CA in a folder, which nobody trusts who is not told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=A CA of the tests")
        strict = ("-addext", "keyUsage=critical,keyCertSign")  # without it Python 3.13 trusts no CA
        openssl(*new, *strict, "-keyout", self.key, "-out", self.certificate)

    def sign(self, names: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate for such names and its key; one for less than no days has expired."""
        request, certificate, key = (self.folder / f"server.{kind}" for kind in ("csr", "pem", "key"))
        more = self.folder / "names"
        more.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=redis", "-keyout", key, "-out", request)
        ours = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-extfile", more)
        openssl("x509", "-req", "-in", request, *ours, "-days", str(days), "-out", certificate)
        return certificate, key


class TlsRedis:
    """A redis-server that speaks TLS and nothing else; url: without a CA, so that it has to be a known one."""

    def __init__(self, folder: Path, certificate: Path, key: Path, authority: Path) -> None:
        folder.mkdir()
        port = find_free_port()
        self.url = f"rediss://127.0.0.1:{port}/0"
        options = f"--port 0 --tls-port {port} --bind 127.0.0.1 --tls-auth-clients no --dir {folder}"
        options += f" --tls-cert-file {certificate} --tls-key-file {key} --tls-ca-cert-file {authority}"
        command = [need("redis-server", "redis-server"), *options.split()]
        self.process = subprocess.Popen(leashed(command), stdout=subprocess.DEVNULL)
        self.client = redis.Redis.from_url(self.url, ssl_cert_reqs="none", decode_responses=True)
        wait_until(self.answers, 10, "Redis")

    def answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[TlsRedis]:
    running = TlsRedis(tmp_path / "redis", *authority.sign("IP:127.0.0.1"), authority.certificate)
    yield running
    running.stop()


def test_a_jobs_way_over_tls_with_a_ca_that_the_address_names(server: TlsRedis, authority: Authority) -> None:
    queue = make_queue(f"{server.url}?ssl_ca_certs={authority.certificate}")
    assert queue.enqueue(payload("a")).new
    job = take(queue)
    assert queue.look_after(job, 50, "phrases") == "mine"
    assert queue.finish(job, '{"flashcards": []}')
    assert (queue.status("a") or {})["status"] == "completed"
    nothing_left(server.client)


@pytest.mark.parametrize("password", ["", "secret"])
def test_the_tickets_behind_a_handshake_are_taken_for_nobodys_answer(
    server: TlsRedis, authority: Authority, password: str
) -> None:
    """TLS 1.3 sends them when it likes: as often as not, when redis-py looks at its new connection."""
    server.client.config_set("requirepass", password)
    url = server.url.replace("://", f"://:{password}@") if password else server.url
    queue = make_queue(f"{url}?ssl_ca_certs={authority.certificate}")
    for _ in range(50):
        queue._redis.connection_pool.disconnect()
        queue.ping()


def test_a_document_becomes_cards_over_tls_with_a_ca_that_the_machine_trusts(
    server: TlsRedis, authority: Authority, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))  # what stands for the machine's own list
    worker = worker_process(tmp_path, UPSTASH_REDIS_URL=server.url)
    try:
        queue = Queue(server.url, lease=3)
        assert ended(queue, submit(queue, records, SAMPLE))["status"] == "completed"
        wait_until(lambda: blocked_clients(server.client), 5, "the worker's wait")
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize(
    ("names", "days", "trusted", "why"),
    [
        ("IP:127.0.0.1", 2, False, "self-signed certificate in certificate chain"),
        ("DNS:other.example", 2, True, "IP address mismatch"),
        ("IP:127.0.0.1", -1, True, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_worker_with_one_clear_line_and_is_no_outage(
    records: Records, authority: Authority, tmp_path: Path, names: str, days: int, trusted: bool, why: str
) -> None:
    server = TlsRedis(tmp_path / "redis", *authority.sign(names, days), authority.certificate)
    url = f"{server.url}?ssl_ca_certs={authority.certificate}" if trusted else server.url
    worker = worker_process(tmp_path, UPSTASH_REDIS_URL=url)
    try:
        for ask in (make_queue(url).look_after, make_queue(url).ping, lambda: make_queue(url).take()):
            with pytest.raises(WrongCertificate, match=why):
                ask()
        assert worker.wait(patience(20)) == 1
        _, said = worker_log(tmp_path).strip().splitlines()
        assert said.startswith("Redis' certificate is not trusted: ")
        assert why in said
        assert "UPSTASH_REDIS_URL" in said
        assert "away" not in worker_log(tmp_path)
        assert server.client.info("clients")["connected_clients"] == 1, "none of ours got through"
    finally:
        worker.kill()
        worker.wait()
        server.stop()


def test_the_api_stays_up_without_a_certificate_that_it_trusts_and_says_why(
    server: TlsRedis, records: Records, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", server.url)
    with running_api() as app, app.test_client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/job-status/a").status_code == 503
        ready = client.get("/readyz")
        assert (ready.status_code, (ready.json or {})["redis"]) == (503, "WrongCertificate")
    assert "Redis' certificate is not trusted: self-signed certificate" in capsys.readouterr().out
