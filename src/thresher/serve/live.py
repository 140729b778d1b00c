"""What answers: one retriever over the artifact's catalogue and the items changed since.

A `Live` is never changed. A new artifact, or a changed item, makes another one beside it, and the
service swaps one reference: a request is answered by the one or the other as a whole.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.artifact import Artifact
from thresher.decide.policy import NoThreshold, Policy
from thresher.errors import InputError
from thresher.retriever import Retriever
from thresher.review import Change
from thresher.review.items import Items

LOG = logging.getLogger("thresher.serve")


@dataclass(frozen=True)
class Live:
    """A retriever that answers, and where it stands.

    Args:
        base: as the artifact holds it.
        retriever: the same with the changed items.
        model: fingerprint of the model.
        version: of the latest change of an item that it has.
        touched: ids of items whose rows differ from those of the certified catalogue.
        emptied: whether the changes leave no item, so that they are not applied.
    """

    base: Retriever
    retriever: Retriever
    model: str
    version: int = 0
    touched: frozenset[str] = frozenset()
    emptied: bool = False

    @classmethod
    def open(cls, folder: Path, changes: Sequence[Change]) -> "Live":
        """Read an artifact, apply the changed items, and answer one query for the first time.

        Raises:
            InputError: for a damaged artifact, parts of different versions, or one that is not
                calibrated.
        """
        base = Retriever.open(folder)
        if base.policy is None:
            raise InputError(
                f"{folder} has no policy yet; run `thresher calibrate` on it before serving"
            )
        live = cls(base, base, Artifact.open(folder).fingerprint("model")).changed(changes)
        live.warm_up()
        return live

    def changed(self, changes: Sequence[Change]) -> "Live":
        """The same with further changes; only changed items are encoded.

        Changes that leave no item are not applied: the artifact's own stay, `emptied` says so.
        """
        if not changes:
            return self
        upserts = [c.row for c in changes if c.row is not None]
        gone = {c.item_id for c in changes if c.row is None}
        version = changes[-1].version
        deletes = sorted(gone & self._ids)
        if not upserts and not deletes:
            return replace(self, version=version)
        if not upserts and len(deletes) == len(self._ids):
            LOG.warning("the stored changes leave no item: they are ignored, nothing is accepted")
            return Live(self.base, self.base, self.model, version, emptied=True)
        retriever = self.retriever.with_items(upserts, deletes)
        names = {c.item_id for c in changes}
        return Live(
            self.base,
            retriever,
            self.model,
            version,
            (self.touched - names) | _differing(self.base.items, retriever.items, names),
        )

    def following(self, store: Items) -> "Live":
        """The same with what changed in the store since."""
        changes = store.items_since(self.version)
        if not self._needs_base(changes):
            return self.changed(changes)
        return Live(self.base, self.base, self.model).changed(store.items_since())

    def _needs_base(self, changes: Sequence[Change]) -> bool:
        """Whether an item comes back that was deleted: the artifact knows more of it."""
        if self.emptied and changes:
            return True
        back = {c.item_id for c in changes if c.row is not None} - self._ids
        return bool(back & self.touched)

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(self.retriever.items["id"].to_pylist())

    @property
    def policy(self) -> Policy | NoThreshold:
        """What was certified, for the catalogue of the artifact."""
        policy = self.base.policy
        if policy is None:
            raise RuntimeError("a live retriever has a policy")
        return policy

    @property
    def policy_id(self) -> str:
        """Id of the policy; "" where nothing is certified."""
        return str(getattr(self.policy, "id", ""))

    @property
    def index(self) -> str:
        """Fingerprint of model and index, and the version of the changed items."""
        return f"{self.base.fingerprint}+{self.version}" if self.version else self.base.fingerprint

    def rows(self, item_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The columns of items by their ids; unknown ones are left out."""
        items = self.retriever.items
        at = pc.index_in(
            pa.array(list(item_ids), pa.string()), value_set=items["id"].combine_chunks()
        )
        known = items.take(at.drop_null()).to_pylist()
        return {row["id"]: row for row in known}

    def warm_up(self) -> None:
        """Answer one query, so that the first request finds everything loaded and compiled."""
        columns = dict.fromkeys(self.columns, "warm up")
        self.retriever.match([columns], 1)

    @cached_property
    def searched(self) -> tuple[str, ...]:
        """The columns of queries that a search reads."""
        read = [name for feature in self.base.tower.schema.queries for name in feature.columns]
        return tuple(dict.fromkeys([*self.base.catalogue.query_text, *read]))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of queries that the model reads, and the policy's."""
        compared = [column.name for column in self.base.catalogue.features.compare]
        by = getattr(self.policy, "by", None)
        return tuple(dict.fromkeys([*self.searched, *compared, *([by] if by else [])]))


def _differing(before: pa.Table, after: pa.Table, ids: set[str]) -> frozenset[str]:
    """Which of these items are not as they were."""
    kept = pa.array(sorted(ids), pa.string())

    def rows(table: pa.Table) -> dict[str, Any]:
        found = table.filter(pc.is_in(table["id"], value_set=kept))
        return {row["id"]: row for row in found.to_pylist()}

    old, new = rows(before), rows(after)
    return frozenset(one for one in ids if old.get(one) != new.get(one))
