"""Requests to addresses that somebody else names: a job's file, a webhook. Nothing of ours is reached through them.

https on its own port, without credentials; every address that the name has must be public, and the connection goes to
that very address, whatever the name means a moment later; TLS is checked against the name; redirects are answers like
others; no proxy is asked, nothing is decoded, and all of it together has a deadline. ALLOWED_FILE_HOSTS names hosts
(or host:port) for which none but the last holds: a bucket or a server in one's own network.
"""

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import string
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

CHUNK = 256 * 1024
LOOK_UP, CONNECT, SILENCE = 3, 5, 10  # seconds for a name, for a connection, and for which a server may say nothing
EVERYWHERE = ("*",)  # for addresses that are ours
# All that IPv6 has of the open internet: a router may turn other addresses into private ones (NAT64, IPv4 in IPv6).
OPEN_IPV6 = ipaddress.ip_network("2000::/3")
# As it may these (6to4, Teredo); and what later versions of Python only know to be private.
ODD = [
    ipaddress.ip_network(text)
    for text in ("2002::/16", "2001::/32", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15")
]  # fmt: skip


class Transient(Exception):
    """It did not work this time: try again later."""


class Refused(Exception):
    """It never will; the text is a sentence."""


class Place(NamedTuple):
    """An address that may be visited. sockets: (family, sockaddr) of each of its addresses."""

    tls: bool
    host: str
    port: int
    path: str
    sockets: list[tuple[int, Any]]


@dataclass(frozen=True)
class Answer:
    """What a server says: its status, the length that it claims, if any, and its body as it comes in."""

    status: int
    length: int | None
    pieces: Iterator[bytes]


def allowed_hosts() -> frozenset[str]:
    """ALLOWED_FILE_HOSTS, as `opened` takes it."""
    hosts = os.environ.get("ALLOWED_FILE_HOSTS", "").split(",")
    return frozenset(host.strip().lower() for host in hosts if host.strip())


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    odd = any(ip in net for net in ODD if net.version == ip.version) or (ip.version == 6 and ip not in OPEN_IPV6)
    return ip.is_global and not ip.is_multicast and not odd


def find(url: str, what: str, allowed: Collection[str]) -> Place:
    """Where a URL leads, if one may go there. Raises `Refused` with a sentence that begins with `what`."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode().rstrip(".")  # after it, as idna knows other dots
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or not url.isprintable():
        raise Refused(f"{what} is no http or https address.")
    trusted = allowed is EVERYWHERE or host in allowed or f"{host}:{port}" in allowed
    if not trusted and (parts.scheme != "https" or port != 443 or "@" in parts.netloc):
        raise Refused(f"{what} must be https, without a port, name or password of its own.")
    if not trusted and f".{host}".endswith((".railway.internal", ".localhost", ".local", ".internal")):
        raise Refused(f"{what} leads to an address that Docdeck does not visit.")
    found = _look_up(host, port)
    if not trusted and not all(is_public(str(sockaddr[0])) for *_, sockaddr in found):
        raise Refused(f"{what} leads to an address that Docdeck does not visit.")
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=string.punctuation)
    return Place(parts.scheme == "https", host, port, path, [(family, sockaddr) for family, *_, sockaddr in found])


def _look_up(host: str, port: int) -> list[Any]:
    """Its addresses. The resolver has no deadline of its own that fits here: its thread is left to it."""
    found: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LOOK_UP)
    if not found:
        raise Transient(f"{host[:100]} cannot be found")
    return found


@contextlib.contextmanager
def opened(
    url: str,
    what: str,
    allowed: Collection[str],
    seconds: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Answer]:
    """A GET, or a POST of a body, which may take so many seconds up to its last byte.

    Raises `Refused` for where it does not go, `Transient` for what may work later, as reading `pieces` does.
    """
    ends = time.monotonic() + seconds
    place = find(url, what, allowed)
    with contextlib.ExitStack() as stack:
        with _network(ends, seconds):
            raw = _connect(place, ends)
            stack.callback(raw.close)
            connection, line = http.client.HTTPConnection(place.host, place.port), raw
            if place.tls:
                context = ssl.create_default_context()
                connection = http.client.HTTPSConnection(place.host, place.port, context=context)
                line = context.wrap_socket(raw, server_hostname=place.host, do_handshake_on_connect=False)
                stack.callback(line.close)
            # A server that drips is never silent for long, so a clock of its own cuts the line.
            clock = threading.Timer(max(0, ends - time.monotonic()), _cut, [line])
            clock.daemon = True
            clock.start()
            stack.callback(clock.cancel)
            line.settimeout(SILENCE)
            if isinstance(line, ssl.SSLSocket):
                line.do_handshake()
            connection.sock = line
            ours = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "Docdeck"}
            connection.request("GET" if body is None else "POST", place.path, body, {**ours, **(headers or {})})
            response = connection.getresponse()
            stack.callback(response.close)
        told = response.headers.get("Content-Length", "")
        length = int(told) if told.isdecimal() and len(told) < 16 and not response.chunked else None
        yield Answer(response.status, length, _pieces(response, length, ends, seconds))


def _connect(place: Place, ends: float) -> socket.socket:
    """A connection to the first of a place's addresses that takes one. A name may have any number of silent ones."""
    last = OSError("no address")
    for family, sockaddr in place.sockets:
        if (left := ends - time.monotonic()) <= 0:
            break
        line = socket.socket(family, socket.SOCK_STREAM)
        line.settimeout(min(CONNECT, left))
        try:
            line.connect(sockaddr)
            return line
        except OSError as error:
            line.close()
            last = error
    raise last


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        line.shutdown(socket.SHUT_RDWR)


def _pieces(response: http.client.HTTPResponse, length: int | None, ends: float, seconds: float) -> Iterator[bytes]:
    """A body as it comes in: not in full chunks, for the deadline's sake. One that ends before its length raises."""
    left = length
    while left is None or left > 0:
        with _network(ends, seconds):
            piece = response.read1(CHUNK if left is None else min(CHUNK, left))
            if time.monotonic() > ends or (not piece and left):
                raise ConnectionError("cut off")
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


@contextlib.contextmanager
def _network(ends: float, seconds: float) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: what http.client will not send
        if time.monotonic() >= ends:
            raise Transient(f"it took longer than {seconds:g} seconds") from error
        raise Transient(f"the server could not be reached, or broke off: {type(error).__name__}") from error
