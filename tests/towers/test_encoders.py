"""What every encoder does: alone as in a batch, missing and new values, saving, learning."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from thresher.data.tables import text_of
from thresher.towers.bags import Bags, weighted_sums
from thresher.towers.encoders import ENCODERS
from thresher.towers.encoders.base import Encoder, Reading, Seen, read_encoder, unit, write_encoder

VALUES = {
    "id": (["a", "b", None, "c"], ["zz"]),
    "category": (["Cups", "pots", None, "cups"], ["zz"]),
    "categories": ([["a", "b"], ["b"], None, []], [["zz"]]),
    "words": (["red mug", "blue mug", None, "Mug mug"], ["zz"]),
    "text": (["Bosch KIN85", "bosch kin", None, "64gb"], ["zz-77"]),
    "number": ([1.0, 2.5, None, 9.0], [77.0]),
    "vector": ([[3.0, 4.0], [1.0, 0.0], None, [0.5, 0.5]], [[9.0, 9.0]]),
}
CASES = [(kind, unit) for kind in ENCODERS for unit in (True, False)]


def column(values):
    return pa.chunked_array([pa.array(values)])


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'unit' if case[1] else 'rarity'}")
def case(request):
    kind, scaled = request.param
    seen = Seen(column(VALUES[kind][0]), np.ones(4, np.int64), "x")
    how = Reading(kind=kind, unit=scaled, bits=10)
    return kind, ENCODERS[kind].fit([seen], how)


def rows(encoder, values):
    found = encoder.read(column(values), "x")
    assert found.shape == (len(values), len(encoder))
    assert found.dtype == np.float32
    return found


def same(one, other):
    return (one != other).nnz == 0


def test_every_kind_is_tried():
    assert set(VALUES) == set(ENCODERS)


def test_it_is_an_encoder_that_numbers_its_rows(case):
    _, encoder = case
    assert isinstance(encoder, Encoder)
    assert len(encoder) > 0


def test_a_row_is_the_same_alone_as_in_a_batch(case):
    kind, encoder = case
    values = VALUES[kind][0]
    whole = rows(encoder, values)
    for i, value in enumerate(values):
        alone = encoder.read(pa.chunked_array([column(values).chunk(0)[i : i + 1]]), "x")
        assert same(alone, whole[i]), value


def test_a_missing_value_is_nothing_and_any_other_something(case):
    kind, encoder = case
    values = VALUES[kind][0]
    known = np.diff(rows(encoder, values).indptr) > 0
    assert known.tolist() == [value is not None and value != [] for value in values]


def test_a_value_that_is_new_does_not_disturb_the_others(case):
    kind, encoder = case
    values, new = VALUES[kind]
    both = rows(encoder, [*values, *new])
    assert same(both[:4], rows(encoder, values))
    assert np.isfinite(both.data).all()


def test_scaled_rows_have_the_length_one(case):
    kind, encoder = case
    if not getattr(encoder, "unit", kind == "vector"):
        pytest.skip("rows are as long as what they hold says")
    found = rows(encoder, VALUES[kind][0])
    lengths = np.sqrt(found.multiply(found).sum(axis=1).A1)
    assert ((abs(lengths - 1) < 1e-5) | (lengths == 0)).all()


def test_what_is_written_is_read(case, tmp_path):
    kind, encoder = case
    write_encoder(encoder, tmp_path / "e.parquet", kind=kind, table="x")
    again, about = read_encoder(tmp_path / "e.parquet", ENCODERS)
    assert about == {"kind": kind, "table": "x"}
    assert type(again) is type(encoder)
    values, new = VALUES[kind]
    assert same(rows(again, [*values, *new]), rows(encoder, [*values, *new]))
    draws = (torch.Generator().manual_seed(1) for _ in range(2))
    assert torch.equal(*(e.start(4, d) for e, d in zip((encoder, again), draws, strict=True)))


def test_the_start_of_a_text_is_drawn_by_blocks(monkeypatch):
    seen = Seen(column(["red mug 50 ml", "blue pan"]), np.ones(2, np.int64), "x")
    encoder = ENCODERS["text"].fit([seen], Reading(kind="text", bits=12))
    drawn = [encoder.start(16, torch.Generator().manual_seed(1))]
    monkeypatch.setattr("thresher.towers.encoders.text.BLOCK", 1 << 9)
    drawn.append(encoder.start(16, torch.Generator().manual_seed(1)))
    assert torch.equal(*drawn)


def test_the_start_follows_the_generator(case):
    _, encoder = case
    one, same_one, other = (
        encoder.start(8, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (len(encoder), 8)
    assert torch.equal(one, same_one)
    assert not torch.equal(one, other)


def test_the_gradient_is_of_the_rows_in_use(case):
    kind, encoder = case
    table = encoder.start(4, torch.Generator().manual_seed(1)).requires_grad_()
    bags = Bags.from_csr(rows(encoder, VALUES[kind][0][:2]))
    weighted_sums(table, bags).square().sum().backward()
    used = table.grad.coalesce().indices()[0].tolist()
    assert used == sorted(set(bags.tokens.tolist()))
    assert len(used) > 0


def test_values_to_count_are_one_bag_a_row(case):
    kind, encoder = case
    counted = encoder.values(rows(encoder, VALUES[kind][0]))
    assert counted.shape[0] == 4


def test_texts_are_read_as_everywhere():
    table = pa.table({"x": [["a", None], None]})
    assert text_of(table, ["x"]) == ["a", ""]


def test_rows_of_length_one_or_empty():
    found = unit(ENCODERS["number"](np.arange(3.0)).read(column([0.5, None, 2.0]), "x"))
    assert found.toarray().tolist() == [
        pytest.approx([2**-0.5, 2**-0.5, 0]),
        [0, 0, 0],
        [0, 0, 1],
    ]
