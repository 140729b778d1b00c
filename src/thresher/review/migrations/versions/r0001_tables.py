"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0001", None, None, None


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    key = sa.String(32)
    op.create_table(
        "decisions",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", key, nullable=False, unique=True),
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
    op.create_table(
        "cases",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", key, nullable=False, unique=True),
        sa.Column("decision_id", key, sa.ForeignKey("decisions.id"), nullable=False, index=True),
        sa.Column("reason", sa.String(8), nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("leased_to", sa.Text),
        sa.Column("leased_until", sa.Double),
        sa.Column("label", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("distance", sa.Double, nullable=False),
    )
    op.create_index("open_by_age", "cases", ["status", "opened_at", "number"])
    op.create_index("open_by_distance", "cases", ["status", "distance", "number"])
    op.create_table(
        "verdicts",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", key, nullable=False, unique=True),
        sa.Column("case_id", key, sa.ForeignKey("cases.id"), nullable=False, index=True),
        sa.Column("decision_id", key, sa.ForeignKey("decisions.id"), nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False, index=True),
        sa.Column("reviewer", sa.Text, nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("undoes", key, sa.ForeignKey("verdicts.id"), unique=True),
    )
    op.create_table(
        "items",
        sa.Column("version", number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False, index=True),
        sa.Column("row", sa.JSON),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_table(
        "answers",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False, index=True),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.JSON),
    )
    op.create_table(
        "events",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("name", sa.Text, nullable=False, index=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
