"""Who sits at a review page: a signed session cookie, and a token for every form."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from thresher.review import Key, Store

COOKIE = "thresher_session"
HOURS = 12
REVIEWERS = ("reviewer", "admin")
LOCAL = Key("local", "local", "admin", 0.0)
"""Who reviews where the store has no key: the service then listens on loopback alone."""


class Sessions:
    """Signs sessions with a secret and checks them against the keys in force.

    A session is `key id . expiry . nonce . HMAC-SHA256`: it ends after 12 hours, or when its key is
    revoked. Replicas need the same secret.

    Args:
        secret: of the service.
        store: knows the keys.
        clock: gives UTC seconds.
    """

    def __init__(self, secret: bytes, store: Store, clock: Callable[[], float]) -> None:
        self.secret, self.store, self.clock = secret, store, clock

    def open(self, key: Key) -> str:
        """The cookie of a new session."""
        until = int(self.clock() + 3600 * HOURS)
        session = f"{key.id}.{until}.{secrets.token_hex(16)}"
        return f"{session}.{self._sign('session', session)}"

    def who(self, cookie: str | None) -> Key | None:
        """The key of a session; None where it is forged, over, or its key no reviewer's."""
        session, _, signature = (cookie or "").rpartition(".")
        if not session or not _equal(signature, self._sign("session", session)):
            return None
        key_id, until, _ = session.split(".")
        if int(until) < self.clock():
            return None
        keys = self.store.keys()
        if not keys:
            return LOCAL if key_id == LOCAL.id else None
        named = (k for k in keys if k.id == key_id and k.revoked_at is None and k.role in REVIEWERS)
        return next(named, None)

    def local(self) -> bool:
        """Whether no key was ever made."""
        return not self.store.keys()

    def token(self, cookie: str) -> str:
        """The token that forms of a session carry; of the login page, those of its nonce."""
        return self._sign("form", cookie)

    def is_token(self, cookie: str | None, token: str) -> bool:
        """Whether a form comes from a page of this session."""
        return cookie is not None and _equal(token, self.token(cookie))

    def _sign(self, use: str, text: str) -> str:
        return hmac.new(self.secret, f"{use} {text}".encode(), hashlib.sha256).hexdigest()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def with_cookie(
    request: Request, answer: Response, name: str, value: str, seconds: int
) -> Response:
    """An answer with a cookie that scripts cannot read and other sites do not send."""
    secure = request.url.scheme == "https"
    answer.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/"
    )
    return answer
