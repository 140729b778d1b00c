"""A sum of text alone: the bag of tokens that it computes, how it starts, what it keeps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oracles.tables import dataset, queries_of
from thresher.data.tokens import Tokens
from thresher.errors import InputError
from thresher.towers import load_tower, save_tower
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions

TEXTS = ["Café-Crème 64GB", "cafe creme", "", "E5 2670 e52670", "café café café", "!?"]
ASKED = ["creme 64 gb", "e5"]


def tower(texts=TEXTS, asked=ASKED, **options):
    made = FeatureTower(**{"dim": 16, "bits": 12, **options})
    made.fit(dataset({"title": texts}, {"title": asked}, [(0, 0)], text=True), FeatureOptions())
    return made


def encoded(made, texts):
    return made.encode(made.queries(queries_of({"title": texts})))


def dense(counts):
    return np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)


def test_it_is_the_sum_of_the_tokens_vectors_each_as_long_as_it_is_rare():
    """From the equation: one table of 2 ** bits drawn rows, times the idf of items and queries."""
    made = tower(seed=5)
    counts = Tokens(bits=12, ngram_range=(2, 3)).counts([*TEXTS, *ASKED]).toarray()
    table = torch.empty(2**12, 16)
    draw = torch.Generator().manual_seed(5)
    torch.nn.init.normal_(table, std=16**-0.5, generator=draw)
    idf = np.log((1 + 8) / (1 + (counts > 0).sum(0))) + 1
    expected = F.normalize(torch.from_numpy(dense(counts) * idf).float() @ table, dim=1)
    np.testing.assert_allclose(encoded(made, [*TEXTS, *ASKED]), expected, atol=1e-5)
    np.testing.assert_allclose(made.encode(made.items()), expected[:6], atol=1e-5)


def test_rows_are_unit_and_a_text_without_tokens_is_zero():
    made = tower()
    lengths = np.linalg.norm(made.encode(made.items()), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0, 1, 1, 0], atol=1e-6)
    assert encoded(made, []).shape == (0, 16)


def test_the_start_is_a_random_projection_of_tf_idf():
    texts = ["red car fast", "red car slow", "blue boat", "green boat fast"]
    made = tower(texts, texts[:1], dim=4096)
    counts = Tokens(bits=12, ngram_range=(2, 3)).counts(texts).toarray()
    seen = (counts > 0).sum(0) + (counts[0] > 0)
    weights = dense(counts) * (np.log((1 + 5) / (1 + seen)) + 1)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    rows = made.encode(made.items())
    np.testing.assert_allclose(rows @ rows.T, weights @ weights.T, atol=0.08)


def test_only_tokens_that_were_seen_have_a_vector_of_their_own():
    seen = Tokens(bits=12, ngram_range=(2, 3)).counts([*TEXTS, *ASKED])
    made = tower()
    encoder = made.schema.encoders["text"]
    assert encoder.tokens.tolist() == sorted(set(seen.indices.tolist()))
    assert len(made.tables[0]) == len(encoder.tokens) + encoder.buckets < 2**12


def test_new_words_of_a_new_catalogue_are_found():
    """No row was trained for them, and both sides draw on the same one."""
    made = tower(dim=128, bits=16)
    new = ["zx9981 wvut", "qqq1177 wvut", "hjk5566 wvut"]
    made.describe(dataset({"title": new}, {"title": new}, [], text=True).items)
    scores = encoded(made, ["zx9981", "qqq1177", "hjk5566"]) @ made.encode(made.items()).T
    assert scores.argmax(1).tolist() == [0, 1, 2]
    # scores of other tokens that differ are those of random vectors: 5 / sqrt(128) at most
    assert scores.diagonal().min() > 0.5


def test_dropout_is_for_training_and_follows_the_generator():
    made = tower(token_dropout=0.5).train()
    inputs = made.items()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = made(inputs)
        torch.manual_seed(1)
        again, other = made(inputs), made(inputs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    made.eval()
    assert torch.equal(made(inputs), made(inputs))


def test_the_seed_decides_the_start():
    assert torch.equal(tower(seed=3).tables[0], tower(seed=3).tables[0])
    assert not torch.equal(tower(seed=3).tables[0], tower(seed=4).tables[0])


def test_what_is_saved_is_loaded_and_small(tmp_path):
    made = tower(bits=18, token_dropout=0.1, seed=5)
    save_tower(made, tmp_path / "tower")
    again = load_tower(tmp_path / "tower")
    assert again.settings() == made.settings()
    assert np.array_equal(encoded(again, TEXTS), encoded(made, TEXTS))
    # 2 ** 18 rows of 16 numbers would be 16 MB; those in use and the shared ones are 1,100
    size = sum(path.stat().st_size for path in (tmp_path / "tower").rglob("*.*"))
    assert size < 200_000


@pytest.mark.parametrize(
    "options", [{"dim": 0}, {"token_dropout": 1.0}, {"bits": 7}, {"ngram_range": (5, 4)}]
)
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        FeatureTower(**options)


def test_columns_beside_the_text():
    """Brand and price of both sides count, text that is no configured text does not."""
    made = FeatureTower(dim=256)
    items = {
        "title": ["red mug", "red mug", "pot"],
        "brand": ["Nord", "Sud", "Nord"],
        "price": [1.0, 1.0, 9.0],
        "description": ["long", "texts", "here"],
        "shelf": ["a", "b", "c"],
    }
    asked = {"title": ["mug"], "brand": ["SUD "], "price": [1.0], "description": ["here"]}
    made.fit(dataset(items, asked, [(0, 0)], text=True), FeatureOptions())
    assert [(f.name, f.kind) for f in made.schema.items] == [
        ("brand", "category"),
        ("price", "number"),
        ("text", "text"),
    ]
    assert [f.name for f in made.schema.queries] == ["brand", "price", "text"]
    scores = encoded_rows(made, asked) @ made.encode(made.items()).T
    assert scores[0].argmax() == 1
    # a value is as long as it is rare, a number of the length 1: short beside a text
    brand = made.tables[list(made.schema.encoders).index("brand")]
    # of 4 rows two have nord and two sud: ln(5 / 3) + 1
    np.testing.assert_allclose(brand.norm(dim=1).detach(), [np.log(5 / 3) + 1] * 2, rtol=0.2)


def encoded_rows(made, columns):
    return made.encode(made.queries(queries_of(columns)))


def test_what_is_missing_adds_nothing():
    made = FeatureTower(dim=32)
    items = {"title": ["red mug", "pot"], "brand": ["nord", None]}
    made.fit(dataset(items, items, [(0, 0)], text=True), FeatureOptions())
    alone = made.items().without(["brand"])
    np.testing.assert_allclose(made.encode(alone)[1], made.encode(made.items())[1], atol=1e-6)
    unknown = encoded_rows(made, {"title": ["pot"], "brand": ["never seen"]})
    np.testing.assert_allclose(unknown[0], made.encode(made.items())[1], atol=1e-6)


def test_sides_that_share_nothing_are_refused():
    data = dataset({"title": ["a"]}, {"age": [1.0]}, [(0, 0)])
    with pytest.raises(InputError, match="no column of the items is read"):
        FeatureTower().fit(data, FeatureOptions())
    options = FeatureOptions(item={"title": "words"}, query={"age": "number"})
    with pytest.raises(InputError, match=r"a sum cannot compare them; name text columns"):
        FeatureTower().fit(data, options)
