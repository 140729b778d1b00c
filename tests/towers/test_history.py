import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from thresher.errors import InputError
from thresher.losses import LOSSES
from thresher.objective import Objective, Term
from thresher.towers.encode import vectors
from thresher.towers.histories import Histories
from thresher.towers.history import HistoryTower
from thresher.towers.interests import closest_interest
from thresher.train.optimizer import RowAdagrad
from thresher.train.step import cached_step, plain_step
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
COUNTS = np.array([1] * 10 + [0] * 2)  # items 10 and 11 are cold


def tower(text=True, **options):
    made = HistoryTower(**{"dim": 8, "longest": 4, "seed": 1, **options})
    made.start_from(ITEMS, ["title"] if text else [], ["kind"] if text else [], COUNTS)
    # Away from a start where some parts are 0 and layers do nothing.
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.dense():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    return made.eval()


def histories(*rows):
    ends = torch.tensor(np.cumsum([0, *map(len, rows)]))
    flat = [item for row in rows for item in row]
    return Histories(torch.tensor(flat, dtype=torch.int64), ends[:-1], ends[1:])


ROWS = histories([3, 1, 2], [5], [], [11, 10, 3, 3, 7, 0], [9, 8])


@pytest.fixture(
    params=[
        *({"encoder": kind} for kind in KINDS),
        {"encoder": "attention", "layers": 2},
        *({"encoder": kind, "interests": 3} for kind in KINDS),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def options(request):
    return request.param


def test_a_mean_by_hand():
    t = HistoryTower(dim=2, longest=2)
    items = pa.table({"id": ["a", "b", "c"]})
    t.start_from(items, [], [], np.array([1, 1, 1]))
    with torch.no_grad():
        t.table.copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.0, 5.0]]))
        t.linear.weight.copy_(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        t.linear.bias.copy_(torch.tensor([0.5, 0.0]))
    # The last two of c, a, b: mean (2, -1), times W (2 * 2 - 1, -1), plus b (3.5, -1).
    expected = F.normalize(torch.tensor([[3.5, -1.0]]))
    torch.testing.assert_close(t(histories([2, 0, 1])), expected)
    torch.testing.assert_close(t(torch.tensor([2, 0])), F.normalize(t.table[[2, 0]]))


def test_untrained_a_mean_is_that_of_its_items():
    t = HistoryTower(dim=8).eval()
    t.start_from(ITEMS, ["title"], ["kind"], COUNTS)
    e, _ = t._items(torch.tensor([4, 7]), lowest=0)
    torch.testing.assert_close(t(histories([4, 7])), F.normalize(e.mean(0, keepdim=True)))


def test_ids_words_and_categories_start_at_one_length():
    t = HistoryTower(dim=512)
    t.start_from(ITEMS, ["title"], ["kind"], COUNTS)
    parts = t.tokens.of(ITEMS).toarray()
    values = len(t.tokens.ids), len(t.tokens.ids) + 2
    for part in (slice(0, values[0]), slice(*values), slice(values[1], None)):
        length = (torch.from_numpy(parts[:, part]) @ t.table.detach()[part]).norm(dim=1)
        assert ((length - 1).abs() < 0.15).logical_or(length == 0).all()


def test_rows_are_unit_and_those_of_nothing_zero(options):
    t = tower(**options)
    users = t(ROWS).view(5, options.get("interests", 1), 8)
    lengths = users.norm(dim=2)
    expected = torch.tensor([1.0, 1, 0, 1, 1])[:, None].expand_as(lengths)
    torch.testing.assert_close(lengths, expected)
    torch.testing.assert_close(t(torch.arange(12)).norm(dim=1), torch.ones(12))
    assert t(ROWS[:0]).shape == (0, users[0].numel())
    assert t(torch.arange(0)).shape == (0, 8)
    assert t(histories([], [])).count_nonzero() == 0


def test_alone_is_as_in_a_batch(options):
    t = tower(**options)
    together = t(ROWS)
    for i in range(len(ROWS)):
        torch.testing.assert_close(t(ROWS[i : i + 1])[0], together[i], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(t(ROWS.take(torch.tensor([4, 0, 4]))), together[[4, 0, 4]])
    torch.testing.assert_close(torch.from_numpy(vectors(t, ROWS, rows=2)), together)
    repeated = t(torch.tensor([7, 3, 7]))
    torch.testing.assert_close(repeated, t(torch.arange(12))[[7, 3, 7]])


def test_only_the_last_events_are_read(options):
    t = tower(**options)
    first, second, third = t(histories([1, 2, 3, 4, 5], [9, 2, 3, 4, 5], [1, 2, 3, 4, 6]))
    torch.testing.assert_close(first, second)
    assert (first - third).norm() > 1e-3


def test_order_is_for_those_that_read_it():
    for kind in KINDS:
        first, second = tower(encoder=kind)(histories([1, 2, 3], [2, 1, 3]))
        assert ((first - second).norm() > 1e-4) == (kind != "mean")


def test_an_item_without_training_event_is_its_words_and_categories():
    t = tower()
    weights = torch.from_numpy(t.tokens.of(ITEMS).toarray())
    assert weights[10:, :10].count_nonzero() == 0
    assert weights[10:, 10:].count_nonzero() > 0
    torch.testing.assert_close(t(torch.tensor([10, 11])), F.normalize(weights[10:] @ t.table))
    # Without either nothing is known of it.
    bare = tower(text=False)(torch.arange(12))
    assert bare[10:].count_nonzero() == 0
    torch.testing.assert_close(bare[:10].norm(dim=1), torch.ones(10))


def test_ids_are_left_out_in_training_where_something_else_is_there():
    t = tower(id_dropout=0.5)
    weights = torch.from_numpy(t.tokens.of(ITEMS).toarray())
    others = torch.arange(len(t.table)) >= len(t.tokens.ids)
    whole, without = (F.normalize(w @ t.table) for w in (weights, weights * others))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.train()
        found = torch.stack([t(torch.arange(12)) for _ in range(200)])
    dropped = (found - without).norm(dim=2) < 1e-5
    kept = (found - whole).norm(dim=2) < 1e-5
    assert (dropped | kept).all()
    shares = dropped.float().mean(0)
    # 200 coins: five standard deviations are .18.
    assert ((shares[:10] - 0.5).abs() < 0.18).all()
    bare = tower(text=False, id_dropout=0.9).train()
    assert torch.equal(bare(torch.arange(10)), bare.eval()(torch.arange(10)))


def test_the_gradient_holds_the_rows_in_use_and_no_other():
    t = tower(text=False)
    (t(ROWS)[:, 0].sum() + t(torch.tensor([4, 4, 11]))[:, 1].sum()).backward()
    gradient = t.table.grad.coalesce()
    # 11 and 10 have no row; 6 is in no history.
    assert gradient.indices().tolist() == [[0, 1, 2, 3, 4, 5, 7, 8, 9]]
    assert all(row.norm() > 0 for row in gradient.values())
    assert not any(p.grad is not None and p.grad.is_sparse for p in t.dense())


def test_parameters_are_tables_or_dense(options):
    t = tower(**options)
    assert {id(p) for p in t.tables() + t.dense()} == {id(p) for p in t.parameters()}
    assert len(t.tables()) + len(t.dense()) == len(list(t.parameters()))


def batch(t, users, candidates, targets):
    pos = torch.stack([torch.arange(len(users)), targets], 1)
    links = Links("user", "item", pos, torch.empty(0, 2, dtype=torch.int64))
    return Batch({"user": users, "item": candidates}, {"offered": links})


def test_a_step_in_chunks_is_the_whole_step(options):
    """Dropout needs the same chunks to be the same; without it any chunks give one gradient."""
    gradients = []
    for chunk in (None, 2):
        t = tower(dropout=0.0, id_dropout=0.0, **{**options, "interests": 1}).train()
        b = batch(t, ROWS, torch.arange(12), torch.tensor([4, 6, 1, 2, 10]))
        objective = Objective([Term("main", LOSSES["softmax"](), links="offered")])
        encode = lambda name, inputs, t=t: t(inputs)  # noqa: E731
        if chunk is None:
            plain_step(encode, b, objective)
        else:
            cached_step(encode, b, objective, chunk=chunk)
        gradients.append([p.grad.to_dense() for p in t.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)


def test_dropout_follows_the_generator(options):
    t = tower(dropout=0.5, id_dropout=0.5, **options).train()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = t(ROWS)
        torch.manual_seed(3)
        assert torch.equal(t(ROWS), first)
        assert not torch.equal(t(ROWS), first)


def test_the_seed_decides_the_start(options):
    def start(seed):
        made = HistoryTower(dim=8, seed=seed, **options)
        made.start_from(ITEMS, ["title"], ["kind"], COUNTS)
        return made.eval()

    assert torch.equal(start(3)(ROWS), start(3)(ROWS))
    assert not torch.equal(start(3)(ROWS), start(4)(ROWS))


def test_what_is_saved_is_loaded(options, tmp_path):
    t = tower(**options)
    t.save(tmp_path)
    again = HistoryTower.load(tmp_path, **t.settings()).eval()
    again.describe(ITEMS)
    assert again.settings() == t.settings()
    assert torch.equal(again(ROWS), t(ROWS))
    assert torch.equal(again(torch.arange(12)), t(torch.arange(12)))


def test_another_catalogue(tmp_path):
    """Items in another order keep their vectors; one that was added is its words."""
    t = tower()
    t.save(tmp_path)
    again = HistoryTower.load(tmp_path, **t.settings()).eval()
    titles, kinds = ["tall RED kite", "unheard"], [["gift"], None]
    added = pa.table({"id": ["new", "bare"], "title": titles, "kind": kinds})
    order = [7, 11, 0, 3]
    again.describe(pa.concat_tables([ITEMS.take(order), added.cast(ITEMS.schema)]))
    rows = again(torch.arange(6))
    torch.testing.assert_close(rows[:4], t(torch.tensor(order)))
    weights = torch.from_numpy(t.tokens.of(added).toarray())
    assert weights[:, :10].count_nonzero() == 0
    torch.testing.assert_close(rows[4:], F.normalize(weights @ t.table))
    assert rows[4].norm() > 0.99
    assert rows[5].count_nonzero() == 0
    torch.testing.assert_close(again(histories([0, 3])), t(histories([7, 3])))


@pytest.mark.parametrize("rows", [[12], [-1], [0, 99]])
def test_items_outside_the_catalogue(rows):
    with pytest.raises(InputError, match="there are 12 in the catalogue"):
        tower()(torch.tensor(rows))
    with pytest.raises(InputError, match="there are 0 in the catalogue"):
        HistoryTower()(histories([0]))


def test_items_outside_the_catalogue_in_histories():
    with pytest.raises(InputError, match="items 2 to 12"):
        tower()(histories([2, 12]))


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 0},
        {"longest": 0},
        {"interests": 0},
        {"layers": 0},
        {"dropout": 1.0},
        {"id_dropout": -0.1},
        {"encoder": "attention", "dim": 9},
    ],
)
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        HistoryTower(**options)


def learnt(kind, users, targets, items=20, steps=100, **options):
    """Share of the last quarter of users whose target comes first, after training on the others."""
    t = HistoryTower(encoder=kind, dim=16, longest=4, dropout=0.0, **options)
    t.start_from(pa.table({"id": [str(i) for i in range(items)]}), [], [], np.ones(items, int))
    groups = [{"params": t.tables(), "lr": 0.1}, {"params": t.dense(), "lr": 0.01}]
    optimizer, cut = RowAdagrad(groups), len(users) * 3 // 4
    catalogue, draw = torch.arange(items), torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(cut, (128,), generator=draw)
        optimizer.zero_grad()
        scores = t(users.take(rows)) @ t(catalogue).T
        F.cross_entropy(scores / 0.1, targets[rows]).backward()
        optimizer.step()
    t.eval()
    with torch.no_grad():
        best = (t(users[cut:]) @ t(catalogue).T).argmax(1)
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


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_next_is_learnt(kind):
    users, targets = runs()
    assert learnt(kind, users, targets) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_learnt_by_those_that_read_it(kind):
    # Of two items that tell nothing of their order a mean can guess which was last: one half.
    found = learnt(kind, *pairs(), steps=140)
    assert found > 0.95 if kind != "mean" else found < 0.65


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learnt_of_shuffled_targets(kind):
    users, targets = pairs()
    mixed = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(7))]
    # One in 20; 400 users: five standard deviations are .055.
    assert learnt(kind, users, mixed) < 0.05 + 0.055


def test_interests_find_two_things_at_once():
    """Users with one item of each half; what comes next hangs on one of the two, either one."""
    draw = torch.Generator().manual_seed(8)
    both = torch.stack([torch.randint(10, (800,), generator=draw), torch.zeros(800).long()], 1)
    both[:, 1] = 10 + torch.randint(10, (800,), generator=draw)
    users, nexts = histories(*both.tolist()), both * 7 % 20
    t = HistoryTower(dim=16, longest=2, interests=2)
    t.start_from(pa.table({"id": [str(i) for i in range(20)]}), [], [], np.ones(20, int))
    groups = [{"params": t.tables(), "lr": 0.1}, {"params": t.dense(), "lr": 0.01}]
    optimizer, catalogue = RowAdagrad(groups), torch.arange(20)
    for _ in range(150):
        rows = torch.randint(600, (128,), generator=draw)
        targets = nexts[rows, torch.randint(2, (128,), generator=draw)]
        optimizer.zero_grad()
        items = t(catalogue)
        query = closest_interest(t(users.take(rows)), items[targets])
        F.cross_entropy(query @ items.T / 0.1, targets).backward()
        optimizer.step()
    with torch.no_grad():
        best = (t(users[600:]).view(200, 2, 16) @ t(catalogue).T).argmax(2)
    # One interest alone, however good, could find both of no user.
    assert (best.sort(1).values == nexts[600:].sort(1).values).all(1).float().mean() > 0.8
