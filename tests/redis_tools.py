"""A Redis of a test's own, and a network in front of it that loses replies.

The shared Redis of the fixtures has other clients. A test that counts commands, holds what is there against what was
there before, or does Redis itself some harm needs one of its own.
"""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

from servers import leashed, redis_answers, redis_command
from tests.support import find_free_port, wait_until


class OwnRedis:
    """A Redis that nobody else uses, and that may be killed, filled and locked; client: a plain one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self, *options: str, wait: bool = True) -> None:
        command = leashed([*redis_command(self.folder, self.port), *options])
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        if wait:
            wait_until(lambda: redis_answers(self.port), 10, "Redis")

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


class Sent(NamedTuple):
    """A command that a client sent: when, by Redis' clock in seconds, its name, and for a script its verb."""

    when: float
    name: str
    verb: str


class Monitor:
    """All that clients send to a Redis, as long as it is watched."""

    def __init__(self, url: str) -> None:
        self.sent: list[Sent] = []
        self._client = redis.Redis.from_url(url, socket_timeout=None)  # its default of 5 s ends a quiet MONITOR
        self._marker = redis.Redis.from_url(url)  # has a connection already, or that would be counted
        self._marker.ping()
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for entry in self._monitor.listen():
            words = entry["command"].split()
            if words == ["ECHO", "enough"]:
                return
            if entry["client_type"] != "lua":
                verb = words[3] if words[0] == "EVALSHA" else ""
                self.sent.append(Sent(entry["time"], words[0], verb))

    def close(self) -> None:
        self._marker.echo("enough")
        self._thread.join(10)
        self._monitor.__exit__(None, None, None)
        self._client.close()
        self._marker.close()

    def count(self, name: str, verb: str = "") -> int:
        return sum((sent.name, sent.verb) == (name, verb) for sent in self.sent)


@contextmanager
def watched(url: str) -> Iterator[Monitor]:
    monitor = Monitor(url)
    try:
        yield monitor
    finally:
        monitor.close()


class Proxy:
    """Between a client and Redis, on a port of its own.

    lose: how many replies to commands that contain `word` are still to be lost: the server does the work, then the
    connection ends. silent: nothing is passed on in either direction, and nothing is closed. delay: seconds by which
    each reply is late.
    """

    def __init__(self, url: str, delay: float = 0) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.delay = delay
        self.word, self.lose, self.lost = b"", 0, 0
        self.silent = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_replies(self, word: str, times: int) -> None:
        self.word, self.lose, self.lost = f"\r\n{word}\r\n".encode(), times, 0

    def close(self) -> None:
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                losing = threading.Event()
                for job in (self._requests, self._replies):
                    threading.Thread(target=job, args=(client, server, losing), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.silent.is_set():
                    continue
                if self.lose and self.word in data:
                    self.lose -= 1
                    losing.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _replies(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self.silent.is_set():
                    continue
                if losing.is_set():
                    self.lost += 1
                    break
                time.sleep(self.delay)
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


def blocked_clients(db: "redis.Redis") -> list[str]:
    """The ids of the clients that wait in BRPOP."""
    return [client["id"] for client in db.client_list() if client["cmd"] == "brpop" and "b" in client["flags"]]
