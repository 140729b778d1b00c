"""What a user would pick instead of towers on features; `feature_rivals.py` measures.

A contender fits on what a features run learns from and returns what scores queries: pages, offers,
or users by their history. Packages are imported where they are used. All that have settings have
three, the likeliest first; of these half_life, reach and again are of histories alone, since pairs
have no order.
"""

from collections.abc import Mapping

from feature_contenders.collaborative import als, bpr, item_knn, user_knn
from feature_contenders.content import category_popularity, content_knn, tf_idf
from feature_contenders.hybrid import lightfm
from feature_contenders.task import popular
from history_contenders.task import Contender

_KNN = ("neighbours", "shrink", "half_life", "reach", "again")

CONTENDERS: Mapping[str, Contender] = {
    "popularity": Contender(popular),
    "category popularity": Contender(
        category_popularity,
        [{"of": "queries"}, {"of": "items", "power": 1.0}, {"of": "items", "power": 4.0}],
    ),
    "TF-IDF": Contender(tf_idf, [{"categories": share} for share in (0.3, 0.0, 0.6)]),
    "content-kNN": Contender(
        content_knn,
        [{"neighbours": n, "categories": c} for n, c in ((100, 0.3), (20, 0.3), (500, 0.6))],
    ),
    "item-kNN": Contender(
        item_knn,
        [
            dict(zip(_KNN, values, strict=True))
            for values in (
                (500, 100.0, 20.0, None, 0.1),
                (500, 10.0, 20.0, 20, 0.1),
                (500, 1.0, 20.0, None, 0.1),
            )
        ],
    ),
    "user-kNN": Contender(
        user_knn,
        [{"neighbours": n, "half_life": h} for n, h in ((500, 20.0), (100, 20.0), (2000, 4.0))],
    ),
    "implicit ALS": Contender(
        als,
        [
            {"factors": f, "alpha": a, "regularization": r}
            for f, a, r in ((128, 10.0, 0.1), (256, 10.0, 1.0), (128, 1.0, 10.0))
        ],
        ("implicit",),
        "implicit",
    ),
    "implicit BPR": Contender(
        bpr,
        [
            {"factors": f, "learning_rate": lr, "regularization": r}
            for f, lr, r in ((128, 0.05, 0.01), (64, 0.2, 0.01), (128, 0.1, 3e-3))
        ],
        ("implicit",),
        "implicit",
    ),
    "LightFM": Contender(
        lightfm,
        [
            {"components": n, "learning_rate": lr, "penalty": p}
            for n, lr, p in ((64, 0.05, 0.0), (64, 0.05, 1e-5), (128, 0.02, 1e-6))
        ],
        ("lightfm",),
        "rectools-lightfm",
    ),
}
