"""The tables of the store, and the migrations that make them."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from thresher.errors import InputError

metadata = sa.MetaData()
# SQLite numbers rows only where the key is an INTEGER.
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ID = sa.String(32)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("query_id", sa.Text, nullable=False),
    sa.Column("query", sa.JSON, nullable=False),
    sa.Column("item_id", sa.Text),
    sa.Column("score", sa.Double),
    sa.Column("confidence", sa.Double),
    sa.Column("decision", sa.String(8), nullable=False),
    sa.Column("threshold", sa.Double),
    sa.Column("segment", sa.Text),
    sa.Column("candidates", sa.JSON, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("index", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("audit_probability", sa.Double, nullable=False),
    sa.Column("audited", sa.Boolean, nullable=False),
)
cases = sa.Table(
    "cases",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("decision_id", _ID, sa.ForeignKey("decisions.id"), nullable=False, index=True),
    sa.Column("reason", sa.String(8), nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("leased_to", sa.Text),
    sa.Column("leased_until", sa.Double),
    sa.Column("label", sa.Text),
    sa.Column("segment", sa.Text),
    sa.Column("distance", sa.Double, nullable=False),
    sa.Index("open_by_age", "status", "opened_at", "number"),
    sa.Index("open_by_distance", "status", "distance", "number"),
)
verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("case_id", _ID, sa.ForeignKey("cases.id"), nullable=False, index=True),
    sa.Column("decision_id", _ID, sa.ForeignKey("decisions.id"), nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("reviewer", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("item_id", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("undoes", _ID, sa.ForeignKey("verdicts.id"), unique=True),
)
items = sa.Table(
    "items",
    metadata,
    sa.Column("version", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False, index=True),
    sa.Column("row", sa.JSON(none_as_null=True)),
)
keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
)
answers = sa.Table(
    "answers",
    metadata,
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.JSON(none_as_null=True)),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)


def migrate(connection: sa.Connection) -> None:
    """Bring the tables to this release's version, inside the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    current = MigrationContext.configure(connection).get_current_heads()
    if current != tuple(ScriptDirectory.from_config(config).get_heads()):
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise InputError(
                f"the database is of version {', '.join(current)}, which this release does not "
                "know; use the release that wrote it"
            ) from None
