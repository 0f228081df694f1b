"""Who is asking: a user with a token, a server with a key, an operator, or, where nothing is set, anybody.

AUTH_SECRET: tokens, HS256, whose `sub` is the user and whose `exp` ends them. API_KEYS: of servers that act for many
users, as SHA-256 in hexadecimal, separated by commas. ADMIN_TOKEN: for /metrics and /admin. It knows nothing of jobs.
"""

import hashlib
import hmac
import os
import re
from dataclasses import dataclass

import jwt
from flask import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

OPEN_PATHS = re.compile(r"/|/healthz|/readyz|/openapi\.json|/static/.*")  # nothing of anybody's is there
ADMIN_PATHS = re.compile(r"/(?:metrics|admin)(?:/.*)?")
SENTENCE = "Send a valid token or key: Authorization: Bearer ..."


@dataclass(frozen=True)
class Caller:
    """Who asks. user: whose jobs he may see; None for all, which is a server's right, or anybody's where it is open."""

    user: str | None = None

    def acts_for(self, named: str) -> str:
        """The user that a request is about: the token's, or the one that is named where no token is."""
        if self.user is not None and named not in ("", self.user):
            raise Forbidden("This userId is not yours: leave it out, or send your own.")
        return named if self.user is None else self.user


class Auth:
    """The rules of one process. secret: of the tokens. keys: SHA-256 of each, in hexadecimal. admin: the token."""

    def __init__(self, secret: str = "", keys: frozenset[str] = frozenset(), admin: str = "") -> None:
        self._secret, self._keys, self._admin = secret, keys, admin
        self.open = not secret and not keys

    @classmethod
    def from_env(cls) -> "Auth":
        """The rules that the environment names; exits with a sentence where they protect nothing but should."""
        secret, admin = os.environ.get("AUTH_SECRET", ""), os.environ.get("ADMIN_TOKEN", "")
        keys = frozenset(key.strip().lower() for key in os.environ.get("API_KEYS", "").split(",") if key.strip())
        if secret and len(secret) < 32:
            raise SystemExit("AUTH_SECRET is too short to keep anything secret: it needs at least 32 characters.")
        if not all(re.fullmatch("[0-9a-f]{64}", key) for key in keys):
            raise SystemExit("API_KEYS holds SHA-256 sums, not keys: printf %s KEY | sha256sum, separated by commas.")
        auth = cls(secret, keys, admin)
        if auth.open and os.environ.get("RAILWAY_PROJECT_ID") and os.environ.get("OPEN_ACCESS") != "1":
            raise SystemExit("Set AUTH_SECRET or API_KEYS, or OPEN_ACCESS=1 if anybody may see and upload everything.")
        return auth

    def caller(self, request: Request) -> Caller:
        """Who sent a request. Raises Unauthorized; a new route is protected unless it is named above."""
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        told = told.strip() if scheme.lower() == "bearer" else ""
        if ADMIN_PATHS.fullmatch(request.path):
            if not self._admin and self.open:
                return Caller()
            if self._admin and hmac.compare_digest(told.encode(), self._admin.encode()):
                return Caller()
            raise unauthorized()
        if self.open or OPEN_PATHS.fullmatch(request.path) or request.method == "OPTIONS":  # which asks what is allowed
            return Caller()
        if not told:  # not even where API_KEYS holds the sum of nothing
            raise unauthorized()
        digest = hashlib.sha256(told.encode(errors="replace")).hexdigest()
        if sum(hmac.compare_digest(digest, key) for key in self._keys):  # all are compared, so that time tells nothing
            return Caller()
        return Caller(self._subject(told))

    def _subject(self, token: str) -> str:
        if not self._secret:  # anybody can sign with an empty one
            raise unauthorized()
        try:
            claims = jwt.decode(token, self._secret, ["HS256"], {"require": ["sub", "exp"]}, leeway=30)
        except (jwt.InvalidTokenError, ValueError):
            raise unauthorized() from None
        user = claims["sub"]
        if not isinstance(user, str) or not is_name(user):
            raise unauthorized()
        return user


def unauthorized() -> Unauthorized:
    """401, the same whatever was wrong."""
    return Unauthorized(SENTENCE, www_authenticate=WWWAuthenticate("bearer"))


def is_name(user: str) -> bool:
    """Whether a user can be called so: up to 200 printable characters, 300 bytes since it becomes part of a key."""
    return (
        0 < len(user) <= 200 and user.isprintable() and len(user.encode()) <= 300
        and user == user.strip() and user not in (".", "..")  # which would mean a folder in a link
    )  # fmt: skip
