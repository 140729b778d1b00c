"""What a user would pick instead for the next items of a history; `history_rivals.py` measures.

A contender fits on the events of the training users and returns what scores histories, be they of
users it knows or not. Packages are imported where they are used.
"""

from collections.abc import Mapping

from history_contenders.attention import sasrec, sasrec_rounds
from history_contenders.factors import als, bpr, bpr_rounds
from history_contenders.neighbours import item_knn, session_knn
from history_contenders.task import Contender, popular

_KNN = ("neighbours", "shrink", "half_life", "reach", "again")

CONTENDERS: Mapping[str, Contender] = {
    "popularity": Contender(popular),
    "item-kNN": Contender(
        item_knn,
        [
            dict(zip(_KNN, values, strict=True))
            for values in (
                (500, 100.0, 20.0, None, 0.1),
                (500, 10.0, 20.0, 20, 0.1),
                (500, 100.0, 20.0, None, 0.0),
                (500, 100.0, 20.0, 20, 0.3),
                (500, 10.0, 20.0, None, 0.5),
                (500, 10.0, 4.0, 5, 0.5),
            )
        ],
    ),
    "session-kNN": Contender(
        session_knn,
        [
            {"neighbours": n, "half_life": h}
            for n, h in ((500, 20.0), (500, 4.0), (100, 20.0), (2000, 4.0))
        ],
    ),
    "implicit ALS": Contender(
        als,
        [
            {"factors": f, "alpha": a, "regularization": r}
            for f, a, r in ((256, 10.0, 0.1), (128, 10.0, 0.1), (256, 40.0, 1.0), (128, 1.0, 10.0))
        ],
        ("implicit",),
        "implicit",
    ),
    "implicit BPR": Contender(
        bpr,
        [
            {"factors": f, "learning_rate": lr, "regularization": r}
            for f, lr, r in (
                (128, 0.05, 0.01),
                (64, 0.2, 0.01),
                (128, 0.05, 1e-3),
                (128, 0.1, 3e-3),
            )
        ],
        ("implicit",),
        "implicit",
        bpr_rounds,
    ),
    "RecTools SASRec": Contender(
        sasrec,
        [
            {"loss": loss, "learning_rate": lr, "dropout": d}
            for loss, lr, d in (
                ("sampled_softmax", 3e-3, 0.2),
                ("sampled_softmax", 1e-3, 0.2),
                ("sampled_softmax", 3e-3, 0.5),
                ("softmax", 3e-3, 0.2),
            )
        ],
        ("rectools", "pytorch_lightning"),
        '"rectools[torch]"',
        sasrec_rounds,
    ),
}
