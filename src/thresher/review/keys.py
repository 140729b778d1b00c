"""API keys, of which only a hash is kept, and answers to requests that may be sent twice."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from thresher.errors import InputError
from thresher.review.database import Database
from thresher.review.decisions import remember
from thresher.review.records import ROLES, Answer, Conflict, Key, Unknown
from thresher.review.schema import answers, keys

CLAIM_SECONDS = 60.0  # after which a request that was never answered may be tried again
LONGEST_NAME = 100
RESERVED = ("guard", "local")  # who acts where no key does
KEPT_SECONDS = 86_400.0
_KEY = [keys.c[name] for name in ("id", "name", "role", "created_at", "revoked_at")]


class Keys:
    """The part of the store that knows who asks, and whether they asked before."""

    database: Database
    clock: Callable[[], float]

    def create_key(self, name: str, role: str) -> str:
        """Make a key and return its secret, this once; its SHA-256 is what is kept.

        Args:
            name: of the client or reviewer; decisions and verdicts carry it, so that no two keys
                in force have one name.
            role: "client" (match, search, items), "reviewer" (cases, verdicts), "admin" (all).
        """
        if role not in ROLES:
            raise InputError(f"the role is {role!r}; give {', '.join(ROLES)}, one of them")
        if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            raise InputError(
                "the name of a key is one line of 1 to 100 printable characters; give that of the "
                "client or reviewer"
            )
        name = name.strip()
        if name.lower() in RESERVED:
            raise InputError(f"the name {name!r} is the service's own; give another one")
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        with self.database.write("keys") as connection:
            own = sa.and_(keys.c.name == name, keys.c.revoked_at.is_(None))
            if connection.scalar(sa.select(keys.c.id).where(own).limit(1)) is not None:
                raise InputError(
                    f"there is a key of the name {name!r}, and two would be one reviewer; revoke "
                    "that one first, or give another name"
                )
            connection.execute(
                sa.insert(keys).values(
                    id=key_id,
                    name=name,
                    role=role,
                    hash=_hash(secret),
                    created_at=self.clock(),
                )
            )
        return f"thresher_{key_id}_{secret}"

    def who(self, secret: str) -> Key | None:
        """The key of a secret; None for an unknown or a revoked one."""
        name, _, rest = secret.partition("_")
        key_id, _, own = rest.partition("_")
        if name != "thresher" or not own or len(key_id) != 16 or not secret.isascii():
            return None
        with self.database.read() as connection:
            row = connection.execute(
                sa.select(*_KEY, keys.c.hash).where(keys.c.id == key_id)
            ).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, _hash(own)):
            return None
        return None if row.revoked_at is not None else Key(*row[:-1])

    def keys(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        with self.database.read() as connection:
            return [
                Key(*row)
                for row in connection.execute(sa.select(*_KEY).order_by(keys.c.created_at))
            ]

    def revoke(self, key_id: str) -> None:
        """End a key; Unknown for an unknown one."""
        with self.database.write() as connection:
            done = connection.execute(
                sa.update(keys)
                .where(keys.c.id == key_id)
                .values(revoked_at=sa.func.coalesce(keys.c.revoked_at, self.clock()))
            )
            if not done.rowcount:
                raise Unknown(f"there is no key {key_id!r}; `thresher keys list` shows them")

    def once(self, client: str, key: str, digest: str) -> Answer | None:
        """Claim a request by its idempotency key, for a day.

        Returns:
            None for a new request, which is to be answered now; else the answer it had.

        Raises:
            Conflict: when the key was used for another request, or the first is still in work.
        """
        now = self.clock()
        own = sa.and_(answers.c.client == client, answers.c.key == key)
        claim = {"client": client, "key": key, "digest": digest, "at": now}
        try:
            with self.database.write("answers") as connection:
                connection.execute(sa.delete(answers).where(answers.c.at < now - KEPT_SECONDS))
                found = connection.execute(sa.select(answers).where(own)).one_or_none()
                if found is None:
                    connection.execute(sa.insert(answers).values(**claim))
                    return None
                if found.digest != digest:
                    raise Conflict(
                        "the idempotency key was used for another request; give a new one"
                    )
                if found.status is not None:
                    return Answer(found.status, found.body)
                if found.at > now - CLAIM_SECONDS:
                    raise Conflict("the same request is in work; ask again in a moment")
                connection.execute(sa.update(answers).where(own).values(at=now))
                return None
        except IntegrityError:
            raise Conflict("the same request is in work; ask again in a moment") from None

    def remember(self, client: str, key: str, answer: Answer) -> None:
        """Keep the answer of a claimed request."""
        with self.database.write("answers") as connection:
            remember(connection, client, key, answer, self.clock())

    def forget(self, client: str, key: str) -> None:
        """Give up a claim whose request failed, so that it may be tried again at once."""
        with self.database.write("answers") as connection:
            connection.execute(
                sa.delete(answers).where(
                    answers.c.client == client, answers.c.key == key, answers.c.status.is_(None)
                )
            )


def _hash(secret: str) -> str:
    # A secret of 256 random bits needs no slow hash: nobody can try them.
    return hashlib.sha256(secret.encode()).hexdigest()
