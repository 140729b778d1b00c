"""What requests and answers look like; the examples stand in the OpenAPI description."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MOST_TEXT = 20_000
Text = Annotated[str, StringConstraints(max_length=MOST_TEXT)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # as the database and Arrow hold it
Value = Text | Whole | Number | bool | None | Annotated[list[Number], Field(max_length=10_000)]
Row = Annotated[dict[Id, Value], Field(max_length=200)]


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str | dict) else given


Queries = Annotated[
    list[Text | Row],
    BeforeValidator(_listed),
    Field(min_length=1, description="Texts, or objects with the columns of the training queries."),
]


class Strict(BaseModel):
    """Unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid")


class MatchRequest(Strict):
    """Queries to decide on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"queries": [{"id": "offer-1", "title": "sony turntable ps-lx310bt"}]}]
        },
    )
    queries: Queries
    top: Annotated[int, Field(ge=1, le=100, strict=True)] = 5


class SearchRequest(Strict):
    """Queries to search for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"queries": "sony turntable", "k": 10}]},
    )
    queries: Queries
    k: Annotated[int, Field(ge=1, le=100, strict=True)] = 10


class ItemsRequest(Strict):
    """Items to add or to change, whole rows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"items": [{"id": "item-1", "title": "Sony PS-LX310BT"}]}]},
    )
    items: Annotated[list[Row], Field(min_length=1)]


class DeleteRequest(Strict):
    """Ids of items to remove."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["item-1"]}]})
    ids: Annotated[list[Id], Field(min_length=1)]


class LeaseRequest(Strict):
    """Which case to hand out."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"order": "uncertainty"}]}
    )
    queue: Literal["review", "audit", "second", "label"] | None = None
    order: Literal["uncertainty", "age"] = "uncertainty"
    segment: Id | None = None


class VerdictRequest(Strict):
    """What a reviewer says of a case."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "item", "item_id": "item-1", "seconds": 4.2}]},
    )
    kind: Literal["item", "none", "not_sure", "label_wrong", "skip"]
    item_id: Id | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    source: Annotated[
        Literal["person", "rule", "model"],
        Field(description="What judged; other sources than people close no case."),
    ] = "person"


class SettingRequest(Strict):
    """A live setting, and why it changes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "stopped", "value": "stock-taking", "reason": "until Monday"}]
        },
    )
    name: Literal["threshold", "stopped", "audit_rate", "second_opinion", "guard"]
    value: (
        Annotated[float, Field(ge=0, le=1, strict=True)]
        | Annotated[str, Field(min_length=1, max_length=500)]
        | None
    )
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Candidate(BaseModel):
    """One candidate of a query."""

    item_id: str
    item: str
    score: float | None = Field(description="Similarity by the tower.")
    confidence: float | None = None


class Decision(BaseModel):
    """The decision on one query."""

    id: str = Field(description="Of the decision; it stands in the log.")
    query_id: str
    decision: Literal["accept", "review"]
    item_id: str | None
    score: float | None
    confidence: float | None
    threshold: float | None
    candidates: list[Candidate]


class MatchAnswer(BaseModel):
    """Decisions, and what made them."""

    model: str
    index: str
    policy: str
    accepting: bool
    reason: str | None = Field(description="Why nothing is accepted now.")
    changed_items: int = Field(description="Items changed since certification.")
    left_empty: list[str] = Field(
        description="Columns that the model or the policy reads and that bare texts leave empty; "
        "the precision is promised for queries with all columns. Empty where every query is an "
        "object.",
        examples=[["brand", "price"]],
    )
    results: list[Decision]


class Found(BaseModel):
    """One item that was found."""

    item_id: str
    item: str
    score: float


class SearchAnswer(BaseModel):
    """The closest items of each query."""

    results: list[list[Found]]


class Changed(BaseModel):
    """The version of the changed items, which is on the disk and live."""

    version: int
    changed_items: int


class Fault(BaseModel):
    """One field of a request that cannot be used."""

    field: str
    reason: str


class Problem(BaseModel):
    """A problem as RFC 9457 describes them."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] = []
