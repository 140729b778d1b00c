"""A sum with histories: items by id, words and categories, users by what they did."""

import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from oracles.tables import dataset, histories, queries_of
from thresher.data.histories import Histories
from thresher.data.queries import Queries
from thresher.errors import InputError
from thresher.losses import LOSSES
from thresher.objective import Objective, Term
from thresher.towers.encode import vectors
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.interests import closest_interest
from thresher.training.optimizer import RowAdagrad
from thresher.training.step import cached_step, plain_step
from thresher.types import Batch, Links

KINDS = ["mean", "gru", "attention"]
WORDS = ["red", "blue", "green", "car", "boat", "kite", "old", "new", "tall", "small"]
ITEMS = pa.table(
    {
        "id": [f"i{i}" for i in range(12)],
        "title": [f"{WORDS[i % 3]} {WORDS[3 + i % 4]} {WORDS[6 + i % 3]}" for i in range(12)],
        "kind": [["toy"], ["toy", "gift"], [], ["gift"]] * 3,
    }
)
PAIRS = [(0, i) for i in range(10)]  # items 10 and 11 are cold


def data_of(text=True, items=ITEMS, pairs=PAIRS):
    table = items if text else items.select(["id"])
    return dataset(table, None, pairs, history=[[0]], text=text)


def fitted(text=True, **options):
    made = FeatureTower(**{"dim": 8, "max_history": 4, "seed": 1, **options})
    made.fit(data_of(text), FeatureOptions(item={"kind": "categories"} if text else {}))
    return made


def tower(text=True, **options):
    made = fitted(text, **options)
    # Away from a start where some parts are 0 and layers do nothing.
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameter_groups()["layers"]:
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    return made.eval()


def users(made, rows):
    """The inputs of histories."""
    return made.queries(Queries(pa.array(["u"] * len(rows), pa.string()), None, None, rows))


def of_items(made, rows):
    return made.items().take(torch.as_tensor(rows))


def summed(made, features=("id", "kind", "text"), rows=slice(None)):
    """The items by the equation: the weights of each feature times its table."""
    found = torch.zeros(12, made.dim)
    for name in features:
        table = made.tables[list(made.schema.encoders).index(name)]
        weights = made.items().bags[name].csr(len(table)).toarray()
        found = found + torch.from_numpy(weights) @ table
    return found[rows]


ROWS = histories([3, 1, 2], [5], [], [11, 10, 3, 3, 7, 0], [9, 8])


def of_users(made, rows=ROWS):
    return made(users(made, rows)[:])


def encoded(made, rows=None):
    return made(of_items(made, range(12) if rows is None else rows))


@pytest.fixture(
    params=[
        *({"encoder": kind} for kind in KINDS),
        {"encoder": "attention", "encoder_layers": 2},
        *({"encoder": kind, "interests": 3} for kind in KINDS),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def options(request):
    return request.param


def test_a_mean_by_hand():
    t = FeatureTower(dim=2, max_history=2)
    t.fit(
        dataset({"id": [*"abc"]}, None, [(0, i) for i in range(3)], history=[[0]]), FeatureOptions()
    )
    with torch.no_grad():
        t.tables[0].copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.0, 5.0]]))
        t.history.linear.weight.copy_(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        t.history.linear.bias.copy_(torch.tensor([0.5, 0.0]))
    # The last two of c, a, b: mean (2, -1), times W (2 * 2 - 1, -1), plus b (3.5, -1).
    expected = F.normalize(torch.tensor([[3.5, -1.0]]))
    torch.testing.assert_close(of_users(t.eval(), histories([2, 0, 1])), expected)
    torch.testing.assert_close(encoded(t, [2, 0]), F.normalize(t.tables[0][[2, 0]]))


def test_what_is_read_of_items():
    t = fitted()
    kinds = {f.name: f.kind for f in t.schema.items}
    assert kinds == {"id": "id", "text": "words", "kind": "categories"}
    assert t.schema.queries == ()
    assert t.schema.encoders["id"].known.to_pylist() == [f"i{i}" for i in range(10)]


def test_items_are_the_sum_of_their_parts():
    t = fitted()
    torch.testing.assert_close(encoded(t.eval()), F.normalize(summed(t), dim=1))


def test_untrained_a_mean_is_that_of_its_items():
    t = fitted().eval()
    mean = summed(t, rows=[4, 7]).mean(0, keepdim=True)
    torch.testing.assert_close(of_users(t, histories([4, 7])), F.normalize(mean))


def test_ids_words_and_categories_start_at_one_length():
    t = fitted(dim=512)
    for name in ("id", "kind", "text"):
        length = summed(t, [name]).norm(dim=1)
        assert ((length - 1).abs() < 0.15).logical_or(length == 0).all()


def test_rows_are_unit_and_those_of_nothing_zero(options):
    t = tower(**options)
    found = of_users(t).view(5, options.get("interests", 1), 8)
    lengths = found.norm(dim=2)
    expected = torch.tensor([1.0, 1, 0, 1, 1])[:, None].expand_as(lengths)
    torch.testing.assert_close(lengths, expected)
    torch.testing.assert_close(encoded(t).norm(dim=1), torch.ones(12))
    assert of_users(t, ROWS[:0]).shape == (0, found[0].numel())
    assert encoded(t, torch.zeros(0).long()).shape == (0, 8)
    assert of_users(t, histories([], [])).count_nonzero() == 0


def test_alone_is_as_in_a_batch(options):
    t = tower(**options)
    together = of_users(t)
    for i in range(len(ROWS)):
        alone = of_users(t, ROWS[i : i + 1])[0]
        torch.testing.assert_close(alone, together[i], atol=1e-6, rtol=1e-5)
    taken = of_users(t, ROWS.take(torch.tensor([4, 0, 4])))
    torch.testing.assert_close(taken, together[[4, 0, 4]])
    torch.testing.assert_close(torch.from_numpy(vectors(t, users(t, ROWS), rows=2)), together)
    torch.testing.assert_close(encoded(t, [7, 3, 7]), encoded(t)[[7, 3, 7]])


def test_histories_that_begin_together_are_read_in_one_pass_as_one_by_one(options):
    t = tower(**options)
    one = histories([3, 1, 2, 7], [5, 9])
    rows = Histories(
        one.items, torch.tensor([0, 4, 0, 0, 4, 0]), torch.tensor([2, 6, 4, 2, 5, 0])
    )  # [3, 1], [5, 9], [3, 1, 2, 7], [3, 1], [5], nothing
    gradients = []
    for found in (of_users(t, rows), torch.cat([of_users(t, rows[i : i + 1]) for i in range(6)])):
        gradients.append([found])
        t.zero_grad()
        (found * torch.arange(1.0, found.numel() + 1).view_as(found).sin()).sum().backward()
        gradients[-1] += [p.grad.to_dense() for p in t.parameters() if p.grad is not None]
    assert len(gradients[0]) > 2
    for together, alone in zip(*gradients, strict=True):
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_only_the_last_events_are_read(options):
    t = tower(**options)
    rows = histories([1, 2, 3, 4, 5], [9, 2, 3, 4, 5], [1, 2, 3, 4, 6])
    first, second, third = of_users(t, rows)
    torch.testing.assert_close(first, second)
    assert (first - third).norm() > 1e-3


def test_order_is_for_those_that_read_it():
    for kind in KINDS:
        first, second = of_users(tower(encoder=kind), histories([1, 2, 3], [2, 1, 3]))
        assert ((first - second).norm() > 1e-4) == (kind != "mean")


def test_an_item_without_training_event_is_its_words_and_categories():
    t = tower()
    ids = t.items().bags["id"]
    assert ids.offsets.diff().tolist() == [1] * 10 + [0, 0]
    others = F.normalize(summed(t, ["kind", "text"], [10, 11]), dim=1)
    torch.testing.assert_close(encoded(t, [10, 11]), others)
    assert others.norm(dim=1).min() > 0.9
    # Without either nothing is known of it.
    bare = encoded(tower(text=False))
    assert bare[10:].count_nonzero() == 0
    torch.testing.assert_close(bare[:10].norm(dim=1), torch.ones(10))


def test_ids_are_left_out_in_training_where_something_else_is_there():
    t = tower(id_dropout=0.5)
    whole, without = (
        F.normalize(summed(t, n), dim=1) for n in (["id", "kind", "text"], ["kind", "text"])
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.train()
        found = torch.stack([encoded(t) for _ in range(200)])
    dropped = (found - without).norm(dim=2) < 1e-5
    kept = (found - whole).norm(dim=2) < 1e-5
    assert (dropped | kept).all()
    shares = dropped.float().mean(0)
    # 200 coins: five standard deviations are .18.
    assert ((shares[:10] - 0.5).abs() < 0.18).all()
    bare = tower(text=False, id_dropout=0.9).train()
    assert torch.equal(encoded(bare), encoded(bare.eval()))


def test_the_gradient_holds_the_rows_in_use_and_no_other():
    t = tower(text=False)
    (of_users(t)[:, 0].sum() + encoded(t, [4, 4, 11])[:, 1].sum()).backward()
    gradient = t.tables[0].grad.coalesce()
    # 11 and 10 have no row; 6 is in no history.
    assert gradient.indices().tolist() == [[0, 1, 2, 3, 4, 5, 7, 8, 9]]
    assert all(row.norm() > 0 for row in gradient.values())
    layers = t.parameter_groups()["layers"]
    assert not any(p.grad is not None and p.grad.is_sparse for p in layers)


def test_parameters_are_tables_or_layers(options):
    t = tower(**options)
    groups = t.parameter_groups()
    assert {id(p) for p in groups["table"] + groups["layers"]} == {id(p) for p in t.parameters()}
    assert len(groups["table"]) == 3


def batch(t, candidates, targets):
    pos = torch.stack([torch.arange(len(ROWS)), targets], 1)
    links = Links("user", "item", pos, torch.empty(0, 2, dtype=torch.int64))
    inputs = {"user": users(t, ROWS)[:], "item": of_items(t, candidates)}
    return Batch(inputs, {"query_item": links})


def test_a_step_in_mini_batches_is_the_whole_step(options):
    """Dropout needs the same parts to be the same; without it any parts give one gradient."""
    gradients = []
    for size in (None, 2):
        t = tower(dropout=0.0, id_dropout=0.0, **{**options, "interests": 1}).train()
        b = batch(t, range(12), torch.tensor([4, 6, 1, 2, 10]))
        objective = Objective([Term("main", LOSSES["softmax"](), links="query_item")])
        encode = lambda name, inputs, t=t: t(inputs)  # noqa: E731
        if size is None:
            plain_step(encode, b, objective)
        else:
            cached_step(encode, b, objective, mini_batch_size=size)
        gradients.append([p.grad.to_dense() for p in t.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)


def test_dropout_follows_the_generator(options):
    t = tower(dropout=0.5, id_dropout=0.5, **options).train()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = of_users(t)
        torch.manual_seed(3)
        assert torch.equal(of_users(t), first)
        assert not torch.equal(of_users(t), first)


def test_the_seed_decides_the_start(options):
    def start(seed):
        return fitted(**{**options, "seed": seed}).eval()

    assert torch.equal(of_users(start(3)), of_users(start(3)))
    assert not torch.equal(of_users(start(3)), of_users(start(4)))


def loaded(t, folder):
    t.save(folder)
    return FeatureTower.load(folder, **t.settings()).eval()


def test_what_is_saved_is_loaded(options, tmp_path):
    t = tower(**options)
    again = loaded(t, tmp_path)
    again.describe(ITEMS)
    assert again.settings() == t.settings()
    assert torch.equal(of_users(again), of_users(t))
    assert torch.equal(encoded(again), encoded(t))


def test_another_catalogue(tmp_path):
    """Items in another order keep their vectors; one that was added is its words."""
    t = tower()
    again = loaded(t, tmp_path)
    titles, kinds = ["tall RED kite", "unheard"], [["gift"], None]
    added = pa.table({"id": ["new", "bare"], "title": titles, "kind": kinds})
    order = [7, 11, 0, 3]
    again.describe(pa.concat_tables([ITEMS.take(order), added.cast(ITEMS.schema)]))
    rows = encoded(again, range(6))
    torch.testing.assert_close(rows[:4], encoded(t, order))
    assert again.items().bags["id"].offsets.diff().tolist() == [1, 0, 1, 1, 0, 0]
    assert rows[4].norm() > 0.99
    assert rows[5].count_nonzero() == 0
    known = of_users(t, histories([7, 3]))
    torch.testing.assert_close(of_users(again, histories([0, 3])), known)


@pytest.mark.parametrize("rows", [[12], [0, 99]])
def test_items_outside_the_catalogue(rows):
    with pytest.raises(InputError, match=f"names item row {rows[-1]}, and the catalogue has 12"):
        of_users(tower(), histories(rows))


def test_users_have_columns_beside_their_history():
    columns = {"kind": ["gift", "toy", None]}
    made = FeatureTower(dim=8)
    items = {"kind": ["toy", "gift"]}
    made.fit(dataset(items, columns, [(0, 0), (1, 1)], history=[[0], [0], []]), FeatureOptions())
    assert [f.name for f in made.schema.queries] == ["kind"]
    with torch.no_grad():
        asked = made.eval()(made.queries(queries_of(columns, [[0], [], []]))[:])
        kinds = made.tables[list(made.schema.encoders).index("kind")]
        known = made.schema.encoders["kind"].known.to_pylist()
        gift, toy = (kinds[known.index(name)] for name in ("gift", "toy"))
        first = made.tables[0][0] + toy
    # the history's item, then the user's own; a user without events is that alone; or nothing
    torch.testing.assert_close(asked[0], F.normalize(first + gift, dim=0))
    torch.testing.assert_close(asked[1], F.normalize(toy, dim=0))
    assert asked[2].count_nonzero() == 0


def test_a_column_of_ids_is_a_history():
    pages = {"id": ["a", "b", "c"]}
    asked = {"history": [["a", "zz"], ["c", "b"]]}
    made = FeatureTower(dim=8)
    made.fit(dataset(pages, asked, [(0, 0), (0, 1), (1, 2)]), FeatureOptions())
    assert made.schema.history == "history"
    table = made.tables[0]
    found = made.eval()(made.queries(queries_of(asked))[:])
    expected = torch.stack([table[0], (table[2] + table[1]) / 2])
    torch.testing.assert_close(found, F.normalize(expected, dim=1))


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 0},
        {"max_history": 0},
        {"interests": 0},
        {"encoder_layers": 0},
        {"dropout": 1.0},
        {"id_dropout": -0.1},
        {"encoder": "attention", "dim": 9},
    ],
)
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        FeatureTower(**options)


def test_interests_need_histories():
    data = dataset({"title": ["a"]}, {"title": ["a"]}, [(0, 0)], text=True)
    with pytest.raises(InputError, match=r"tower\.interests is 2, and queries have no history"):
        FeatureTower(interests=2).fit(data, FeatureOptions())


def learner(items, **options):
    """A tower over so many items, its optimiser, and its catalogue."""
    t = FeatureTower(dim=16, dropout=0.0, **options)
    ids = {"id": [str(i) for i in range(items)]}
    t.fit(dataset(ids, None, [(0, i) for i in range(items)], history=[[0]]), FeatureOptions())
    rates = {"table": 0.1, "layers": 0.01}
    own = t.parameter_groups().items()
    optimizer = RowAdagrad([{"params": p, "lr": rates[name]} for name, p in own])
    return t, optimizer, t.items()


def learned(kind, rows, targets, items=20, steps=100):
    """Share of the last quarter of users whose target comes first, after training on the others."""
    t, optimizer, catalogue = learner(items, encoder=kind, max_history=4)
    cut, draw, table = len(rows) * 3 // 4, torch.Generator().manual_seed(0), users(t, rows)
    for _ in range(steps):
        some = torch.randint(cut, (128,), generator=draw)
        optimizer.zero_grad()
        scores = t(table.take(some)) @ t(catalogue).T
        F.cross_entropy(scores / 0.1, targets[some]).backward()
        optimizer.step()
    t.eval()
    with torch.no_grad():
        best = (t(table[cut:]) @ t(catalogue).T).argmax(1)
    return float((best == targets[cut:]).float().mean())


def runs(items=20, count=800):
    """Three items in a row, round and round; the next one is the target."""
    at = torch.randint(items, (count, 1), generator=torch.Generator().manual_seed(5))
    rows = (at + torch.arange(4)) % items
    return histories(*rows[:, :3].tolist()), rows[:, 3]


def pairs(items=20, count=1600):
    """Two items in either order; what comes next hangs on which of them was last."""
    draw = torch.Generator().manual_seed(6)
    first = torch.randint(items, (count,), generator=draw)
    last = (first + torch.randint(1, items, (count,), generator=draw)) % items
    return histories(*torch.stack([first, last], 1).tolist()), (last * 7 + 3) % items


def test_what_comes_next_is_learned_without_an_order():
    assert learned("mean", *runs()) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_learned_by_those_that_read_it(kind):
    # Of two items that tell nothing of their order a mean can guess which was last: one half.
    found = learned(kind, *pairs(), steps=140)
    assert found > 0.95 if kind != "mean" else found < 0.65


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_of_shuffled_targets(kind):
    rows, targets = pairs()
    mixed = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(7))]
    # One in 20; 400 users: five standard deviations are .055.
    assert learned(kind, rows, mixed) < 0.05 + 0.055


def test_interests_find_two_things_at_once():
    """Users with one item of each half; what comes next hangs on one of the two, either one."""
    draw = torch.Generator().manual_seed(8)
    both = torch.stack([torch.randint(10, (800,), generator=draw), torch.zeros(800).long()], 1)
    both[:, 1] = 10 + torch.randint(10, (800,), generator=draw)
    nexts = both * 7 % 20
    t, optimizer, catalogue = learner(20, max_history=2, interests=2)
    table = users(t, histories(*both.tolist()))
    for _ in range(150):
        rows = torch.randint(600, (128,), generator=draw)
        targets = nexts[rows, torch.randint(2, (128,), generator=draw)]
        optimizer.zero_grad()
        items = t(catalogue)
        query = closest_interest(t(table.take(rows)), items[targets])
        F.cross_entropy(query @ items.T / 0.1, targets).backward()
        optimizer.step()
    with torch.no_grad():
        best = (t(table[600:]).view(200, 2, 16) @ t(catalogue).T).argmax(2)
    # One interest alone, however good, could find both of no user.
    assert (best.sort(1).values == nexts[600:].sort(1).values).all(1).float().mean() > 0.8
