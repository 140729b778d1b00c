"""The tower that concatenates features: what it computes, what it learns, what it leaves out."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from oracles.tables import dataset, queries_of
from thresher.errors import InputError
from thresher.towers.encode import vectors
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.inputs import Features

ITEMS = pa.table(
    {
        "id": ["a", "b", "c", "d", "e"],
        "title": ["red mug", "blue mug", None, "teapot", "red pot"],
        "shelf": [["cups", "red"], ["cups"], [], ["pots"], ["pots", "red"]],
        "maker": ["north", "south", "north", None, "south"],
        "price": [1.0, 2.0, None, 9.0, 3.0],
        "picture": pa.array([[3.0, 4.0], None, [1.0, 0.0], [0.5, 0.5], [1.0, 2.0]]),
        "blurb": ["a mug", "", "none", "of clay", "new"],
    }
)
USERS = pa.table(
    {"id": ["u", "v", "w"], "age": [20.0, None, 7.0], "maker": ["north", "west", None]}
)
OPTIONS = FeatureOptions(
    item={"blurb": {"kind": "text", "width": 4}},
    query={"id": "ignored"},
    width=6,
    id_min_count=1,
)
HISTORIES = [[0, 1], [], [4, 3, 4]]
PAIRS = [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4)]  # every item once


def data_of(items=ITEMS, users=USERS, pairs=PAIRS, history=HISTORIES):
    return dataset(items, users, pairs, history=history)


def tower_of(data=None, options=OPTIONS, **settings):
    given = {"combine": "concat", "layers": (12,), "dim": 8, "bits": 8}
    given |= {"dropout": 0.0, "token_dropout": 0.0}
    tower = FeatureTower(**{**given, **settings})
    tower.fit(data_of() if data is None else data, options)
    return tower


def made(data=None, options=OPTIONS, **settings):
    tower = tower_of(data, options, **settings)
    with torch.no_grad():  # a default of zeros would hide where it stands
        for default in tower.defaults.values():
            default.normal_(generator=torch.Generator().manual_seed(9))
    return tower


def items(tower, table=ITEMS):
    return Features.of("item", tower.schema.read("item", table))


def queries(tower):
    """Three users: in the table with a history, in it without one, and in neither."""
    asked = queries_of(USERS, HISTORIES)
    rows = np.array([0, 1, -1])
    return tower.queries(type(asked)(asked.ids, asked.table, rows, asked.histories))


def both(tower):
    return {"item": items(tower)[:], "query": queries(tower)[:]}


def changed(**columns):
    """The items with other values in some columns."""
    table = ITEMS
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
    return table


# What it computes.


def test_a_worked_example():
    table = pa.table({"id": ["a", "b"], "shelf": [["x", "y"], []]})
    options = FeatureOptions(item={"id": "ignored"}, width=2)
    data = data_of(table, None, [(0, 0)], [[0]])
    tower = tower_of(data, options, layers=(2,), dim=2)
    with torch.no_grad():
        tower.tables[0].copy_(torch.tensor([[1.0, 2.0], [3.0, -6.0]]))
        tower.defaults["item"].copy_(torch.tensor([-2.0, 0.5]))
        first, last = tower.layers["item"]
        first.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        first.bias.copy_(torch.tensor([0.0, 1.0]))
        last.weight.copy_(torch.tensor([[3.0, 0.0], [-4.0, 1.0]]))
        last.bias.copy_(torch.tensor([0.0, 2.0]))
    # a: (1 + 3, 2 - 6) / sqrt 2 = (2.828427, -2.828427); first (2.828427, 0 + 1), then
    # (3 * 2.828427, -4 * 2.828427 + 1 + 2) = (8.485281, -8.313708), of the length 11.879402
    # b has no shelf, hence the default: first (-2, -1.5 + 1) is (0, 0), then (0, 2)
    expected = [[8.485281 / 11.879402, -8.313708 / 11.879402], [0, 1]]
    np.testing.assert_allclose(vectors(tower, items(tower, table)), expected, rtol=1e-5)


@pytest.mark.parametrize("side", ["item", "query"])
def test_rows_of_length_one_alone_as_in_a_batch_and_in_slices(side):
    tower = made()
    inputs = {"item": items, "query": queries}[side](tower)
    whole = vectors(tower, inputs)
    assert whole.dtype == np.float32
    assert whole.shape == (len(inputs), tower.dim)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    alone = [vectors(tower, inputs.take(torch.tensor([i]))) for i in range(len(inputs))]
    np.testing.assert_allclose(np.concatenate(alone), whole, atol=1e-6)
    np.testing.assert_allclose(vectors(tower, inputs, rows=2), whole, atol=1e-6)
    np.testing.assert_allclose(vectors(tower, inputs[1:3]), whole[1:3], atol=1e-6)
    assert tower(inputs[:0]).shape == (0, tower.dim)
    # all of them differ
    assert (whole @ whole.T)[~np.eye(len(whole), dtype=bool)].max() < 0.9999


def test_what_is_hidden_is_the_same_as_what_is_missing():
    tower = made()
    for name in ITEMS.column_names:
        hidden = vectors(tower, items(tower)[:].without([name]))
        missing = vectors(tower, items(tower, changed(**{name: [None] * 5})))
        np.testing.assert_allclose(hidden, missing, atol=1e-6)
        assert abs(hidden - vectors(tower, items(tower))).max() > 1e-3, name


def test_a_query_of_which_nothing_is_known_is_nothing():
    tower = made()
    unknown = {name: pa.nulls(3, USERS[name].type) for name in ("age", "maker")}
    asked = pa.table({"id": USERS["id"], **unknown})
    found = tower.encode(tower.queries(queries_of(asked.to_pydict(), [[], [1], []])))
    assert np.abs(found).sum(axis=1)[[0, 2]].tolist() == [0, 0]
    assert np.linalg.norm(found[1]) == pytest.approx(1)


def test_each_missing_feature_has_a_default_of_its_own():
    tower = made()
    whole = vectors(tower, items(tower)[:].without(["shelf"]))
    place = 6 + 6  # id and title stand before it
    with torch.no_grad():
        tower.defaults["item"][place : place + 6] += 1
    other = vectors(tower, items(tower)[:].without(["shelf"]))
    assert (abs(other - whole).max(axis=1) > 1e-3).all()
    # what all have does not use it
    kept = vectors(tower, items(tower)[:1])
    with torch.no_grad():
        tower.defaults["item"].fill_(7)
    np.testing.assert_array_equal(vectors(tower, items(tower)[:1]), kept)


def test_an_item_and_a_history_of_it_have_the_same_start():
    # Without a query's own columns both sides have the same features, tables and first layers.
    one_each = [[i] for i in range(5)]
    data = data_of(users=None, history=one_each)
    tower = tower_of(data, FeatureOptions(width=6, id_min_count=1))
    asked = tower.queries(queries_of(history=one_each))
    scores = vectors(tower, asked) @ vectors(tower, items(tower)).T
    known = [0, 1, 3, 4]  # of the third most is missing, and each side has defaults of its own
    assert scores[known].argmax(axis=1).tolist() == known


def test_layers_of_one_shape_start_alike_and_others_do_not():
    tower = tower_of(layers=(12, 8))
    item, query = tower.layers["item"], tower.layers["query"]
    assert item[0].weight.shape != query[0].weight.shape
    for number in (1, 2):
        assert torch.equal(item[number].weight, query[number].weight)
    assert not torch.equal(item[1].weight[:, :8], item[2].weight)


def test_the_seed_decides_the_start():
    def start(seed):
        return {n: p.clone() for n, p in made(seed=seed).named_parameters() if "defaults" not in n}

    one, same, other = start(1), start(1), start(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if "bias" not in name)


# What it learns.


def gradients(tower, inputs):
    tower.zero_grad(set_to_none=True)
    weight = torch.randn(len(inputs), tower.dim, generator=torch.Generator().manual_seed(3))
    (tower(inputs) * weight).sum().backward()
    names = list(tower.schema.encoders)
    return {name: table.grad for name, table in zip(names, tower.tables, strict=True)}


def test_the_gradient_of_a_table_is_sparse_and_holds_the_rows_in_use():
    tower = made()
    found = gradients(tower, items(tower)[:2])
    for name, gradient in found.items():
        if name == "query.age":
            assert gradient is None
            continue
        used = {int(t) for f in tower.schema.items if f.table == name
                for t in items(tower)[:2].bags[f.name].tokens}  # fmt: skip
        assert gradient.is_sparse
        assert set(gradient.coalesce().indices()[0].tolist()) == used, name
        assert 0 < len(used) <= len(tower.schema.encoders[name])


def test_every_kind_of_feature_learns_on_both_sides():
    tower = made()
    for inputs in both(tower).values():
        found = gradients(tower, inputs)
        for feature in tower.schema.features(inputs.side):
            assert found[feature.table].to_dense().abs().sum() > 0, feature.name
        assert all(p.grad is not None for p in tower.layers[inputs.side].parameters())


def test_the_gradient_of_a_default_is_of_the_features_that_are_missing():
    tower = made()
    gradients(
        tower, items(tower)[2:4]
    )  # the third has no title, shelf or price; the fourth no maker
    parts = tower.defaults["item"].grad.split([f.width for f in tower.schema.items])
    missing = {f.name for f, part in zip(tower.schema.items, parts, strict=True) if part.any()}
    assert missing == {"title", "shelf", "price", "maker"}
    assert tower.defaults["query"].grad is None


def test_a_history_teaches_the_vectors_of_items():
    tower = made()
    number = list(tower.schema.encoders).index("id")
    before = vectors(tower, items(tower))
    row = queries(tower).take(torch.tensor([2]))  # of items 4, 3, 4, and in no table
    gradient = gradients(tower, row)["id"].coalesce()
    known = tower.schema.encoders["id"].known.to_pylist()
    assert sorted(known[i] for i in gradient.indices()[0]) == ["d", "e"]
    with torch.no_grad():
        tower.tables[number].sub_(gradient.to_dense())
    after = vectors(tower, items(tower))
    moved = abs(after - before).max(axis=1) > 1e-6
    assert moved.tolist() == [False, False, False, True, True]


def test_gradients_are_those_of_the_dense_equation():
    tower, twin = made(), made()
    inputs = items(tower)[:]
    parts, place = [], 0
    dense = []
    for feature in tower.schema.items:
        number = list(tower.schema.encoders).index(feature.table)
        table = twin.tables[number].detach().clone().requires_grad_()
        bags = inputs.bags[feature.name]
        default = twin.defaults["item"][place : place + feature.width]
        rows = []
        for row in range(5):
            a, b = bags.offsets[row], bags.offsets[row + 1]
            tokens, weights = bags.tokens[a:b].long(), bags.weights[a:b]
            rows.append(default if a == b else (weights[:, None] * table[tokens]).sum(0))
        parts.append(torch.stack(rows))
        dense.append((number, table))
        place += feature.width
    first, last = twin.layers["item"]
    expected = F.normalize(last(F.relu(first(torch.cat(parts, 1)))), dim=1)
    torch.testing.assert_close(tower(inputs), expected)
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(3))
    (expected * weight).sum().backward()
    gradients(tower, inputs)
    for number, table in dense:
        torch.testing.assert_close(tower.tables[number].grad.to_dense(), table.grad)
    torch.testing.assert_close(tower.defaults["item"].grad, twin.defaults["item"].grad)


@pytest.mark.parametrize("side", ["item", "query"])
def test_a_row_of_which_nothing_is_known_pulls_no_harder_than_any_other(side):
    # Where defaults start at 0 its direction is 0 / 0, and the gradient some 1e12 times as large:
    # what Adam remembers of one such row keeps defaults and biases still for the rest of a run.
    tower = tower_of()
    inputs = both(tower)[side]
    unknown = inputs.without([f.name for f in tower.schema.features(side)])
    rows = tower(unknown)
    assert rows.norm(dim=1).tolist() == pytest.approx([1.0] * len(rows))

    def pull(of):
        weight = torch.randn(len(of), 8, generator=torch.Generator().manual_seed(3))
        (tower(of) * weight).sum().backward()
        first = next(iter(tower.layers[side]))
        norm = first.bias.grad.norm().item()
        tower.zero_grad()
        return norm

    assert pull(unknown) < 30 * pull(inputs)


# What is left out in training.


def one_category(**options):
    table = pa.table({"id": ["a"], "shelf": ["x"]})
    configured = FeatureOptions(item={"id": "ignored"}, width=4)
    return made(data_of(table, None, [(0, 0)], [[0]]), configured, **options), table


def test_feature_dropout_shows_defaults_for_a_share_of_the_items_in_training():
    tower, table = one_category(feature_dropout=0.3)
    inputs = items(tower, table).take(torch.zeros(2000, dtype=torch.int64))
    whole, hidden = vectors(tower, inputs)[0], vectors(tower, inputs.without(["shelf"]))[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = tower.train()(inputs).detach().numpy()
    dropped = np.isclose(found, hidden, atol=1e-6).all(axis=1)
    assert (dropped | np.isclose(found, whole, atol=1e-6).all(axis=1)).all()
    # 2,000 draws of .3: a standard error of .01
    assert dropped.mean() == pytest.approx(0.3, abs=0.04)


def test_feature_dropout_is_of_items_alone_and_each_feature_by_itself():
    tower = made(feature_dropout=0.5).train()
    asked = queries(tower)[:]
    assert torch.equal(tower(asked), tower(asked))
    inputs = items(tower).take(torch.zeros(400, dtype=torch.int64))
    assert len(tower(inputs).detach().numpy().round(4).tolist()) == 400
    # 7 features, each there or not: of 128 patterns 400 draws show some 122
    distinct = np.unique(tower(inputs).detach().numpy().round(3), axis=0)
    assert 100 < len(distinct) <= 128


def test_nothing_is_left_out_when_it_encodes():
    tower = made(dropout=0.5, feature_dropout=0.5).train()
    np.testing.assert_array_equal(vectors(tower, items(tower)), vectors(tower, items(tower)))
    assert tower.training
    inputs = items(tower)[:]
    assert not torch.equal(tower(inputs), tower(inputs))


# Written, read, refused.


def test_saved_and_loaded_it_encodes_the_same(tmp_path):
    tower = made()
    tower.save(tmp_path)
    loaded = FeatureTower.load(tmp_path, **tower.settings())
    loaded.describe(ITEMS)
    assert loaded.settings() == tower.settings()
    np.testing.assert_array_equal(vectors(loaded, items(loaded)), vectors(tower, items(tower)))
    np.testing.assert_array_equal(vectors(loaded, queries(loaded)), vectors(tower, queries(tower)))


def test_an_id_that_nobody_trained_on_leaves_an_empty_table(tmp_path):
    tower = made(data_of(pairs=[]))
    assert len(tower.schema.encoders["id"]) == 0
    found = gradients(tower, items(tower)[:])
    assert found["id"] is None
    tower.save(tmp_path)
    loaded = FeatureTower.load(tmp_path, **tower.settings())
    np.testing.assert_array_equal(vectors(loaded, items(loaded)), vectors(tower, items(tower)))


def test_parameters_are_tables_or_layers():
    tower = made()
    groups = tower.parameter_groups()
    own = {id(p) for group in groups.values() for p in group}
    assert own == {id(p) for p in tower.parameters()}
    assert len(groups["table"]) == len(tower.schema.encoders)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": (8, 0)}, r"tower\.layers must be widths of 1 or more, got \[8, 0\]"),
        ({"dropout": 1.0}, r"tower\.dropout must lie in \[0, 1\), got 1\.0"),
        ({"feature_dropout": -0.1}, r"tower\.feature_dropout must lie in \[0, 1\), got -0\.1"),
        ({"encoder": "gru"}, r"read histories in a sum; with combine = 'concat' leave them out"),
        ({"interests": 2}, r"read histories in a sum"),
        ({"combine": "sum", "layers": (8,)}, r"leave them out of a sum"),
    ],
)
def test_settings_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        FeatureTower(**{"combine": "concat", **options})


def test_a_tower_without_a_catalogue():
    with pytest.raises(InputError, match="no catalogue yet; call fit or describe first"):
        FeatureTower().items()
