"""Who asks: API keys with roles. Without any key, anyone on this machine may do everything."""

import ipaddress
import time
from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from thresher.errors import InputError
from thresher.review import Key, Store
from thresher.serve.origins import is_local

ADMIN, CLIENT, REVIEWER = "admin", "client", "reviewer"
LOCAL = Key("", "local", ADMIN, 0.0)
REMEMBERED_SECONDS = 2.0  # that a revoked key may still be known
_MOST = 1000


class Guardian:
    """Knows keys by their secrets, for two seconds without asking the store.

    Args:
        store: of the keys. While it has none, the service is called as localhost alone: a page of
            another name, which a browser was led to, is refused.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, Key | None]] = {}
        self._open: tuple[float, bool] = (0.0, False)

    def open(self) -> bool:
        """Whether no key was ever made, so that none is asked for."""
        now = time.monotonic()
        if now >= self._open[0]:
            self._open = (now + REMEMBERED_SECONDS, not self._store.keys())
        return self._open[1]

    def remembers(self, request: Request) -> bool:
        """Whether the store need not be asked."""
        secret, now = _secret(request), time.monotonic()
        until = self._known.get(secret, (0.0, None))[0] if secret else self._open[0]
        return now < until

    def who(self, secret: str) -> Key | None:
        """The key of a secret; None for an unknown or a revoked one."""
        now = time.monotonic()
        until, key = self._known.get(secret, (0.0, None))
        if now >= until:
            key = self._store.who(secret)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[secret] = (now + REMEMBERED_SECONDS, key)
        return key

    def of(self, request: Request) -> Key:
        """The key of a request; 401 without a known one."""
        secret = _secret(request)
        if secret:
            key = self.who(secret)
            if key is not None:
                return key
        elif self.open():
            if not is_local(request.headers.get("host", "")):
                raise HTTPException(403, "without keys the service answers to localhost alone")
            return LOCAL
        raise HTTPException(
            401,
            "give an API key as `Authorization: Bearer KEY`; `thresher keys create` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def allow(self, *roles: str) -> Callable[[Request], Awaitable[Key]]:
        """A dependency that lets keys of these roles pass, and admins."""

        async def check(request: Request) -> Key:
            # Only the store is worth another thread, which costs more than what is remembered.
            known = self.remembers(request)
            key = self.of(request) if known else await run_in_threadpool(self.of, request)
            if key.role not in (ADMIN, *roles):
                raise HTTPException(
                    403, f"a key of the role {key.role!r} may not do this; it is for {_or(roles)}"
                )
            return key

        return check


def _secret(request: Request) -> str:
    """The key that a request shows; empty for none."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _or(roles: tuple[str, ...]) -> str:
    return " or ".join(map(repr, (*roles, ADMIN)))


def check_host(host: str, store: Store) -> None:
    """InputError for an address that others can reach, while there is no key."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not any(one.revoked_at is None for one in store.keys()):  # noqa: SIM118 - no mapping
        raise InputError(
            f"others can reach {host} and the service has no key; run `thresher keys create`, or "
            "listen on 127.0.0.1"
        )
