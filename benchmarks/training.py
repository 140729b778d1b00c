"""Training beside sentence-transformers' StaticEmbedding: pairs a second, and what was learnt.

Both train a bag of token vectors of the same width on the same pairs, batch size, epochs and
threads, with a softmax over the batch: ours as `thresher train` does, theirs with
SentenceTransformerTrainer, MultipleNegativesRankingLoss and a WordPiece vocabulary learnt from the
titles. They take turns in one process, each first every other round, so that what else the machine
does falls on both. Tokenising counts: ours is done once before the first step, theirs in each step.

    python benchmarks/training.py
    python benchmarks/training.py --data FOLDER --rounds 5 --threads 2
    python benchmarks/training.py --until

`--until` asks how soon we are as good as the peer's best: it is trained at three learning rates for
three numbers of epochs, and has the validation P@1 of its best run and the seconds of that run
alone; we train for one epoch on a growing share of the pairs until our P@1 is as high.

The folder holds items.parquet, queries.parquet and pairs.parquet. The peer needs
`pip install sentence-transformers accelerate datasets`.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from thresher.config import read
from thresher.data.bundled import bundled
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.options import DataOptions
from thresher.data.queries import Queries
from thresher.data.tables import text_of
from thresher.jobs.objective import build_objective
from thresher.retrieve.exact import Exact
from thresher.towers.model import RetrievalModel
from thresher.training.batches import pairs_of
from thresher.training.loop import train

RUNS = ("thresher", "sentence-transformers", "thresher, softmax+alc+tcm")
PEER = "sentence-transformers"
PEER_RATES, PEER_EPOCHS = (0.05, 0.1, 0.2), (2, 4, 8)
SHARES = (0.2, 0.3, 0.45, 0.67, 1.0)
"""Shares of the training pairs of one epoch."""


def ours(data: Dataset, arguments: argparse.Namespace, objective: list[str], share: float = 1.0):
    """Train a tower, on a share of the training queries; return its encoder."""
    config = read(
        {
            "data": {name: f"({name})" for name in ("items", "queries", "pairs")},
            "features": {"query": dict.fromkeys(others_of(data), "ignored")},
            "tower": {"dim": arguments.dim},
            "train": {
                "epochs": arguments.epochs,
                "batch_size": arguments.batch_size,
                "cluster_from_epoch": -1,
            },
            "objective": [{"kind": kind} for kind in objective],
        }
    )
    tower = config.build("tower")
    tower.fit(data, config.build("features"))
    model = RetrievalModel(tower)
    part = data.part("train")
    if share < 1:
        chosen = np.random.default_rng(0).permutation(len(part))[: round(share * len(part))]
        part = part.take(np.sort(chosen))
    pairs, goal = pairs_of(model, part), build_objective(config, tower.dim)
    with tempfile.TemporaryDirectory() as folder:
        train(model, goal, pairs, config.build("train"), Path(folder), quiet=True)
    column = data.query_text[0]
    return lambda texts: tower.encode(tower.queries(Queries.of_table(pa.table({column: texts}))))


def others_of(data: Dataset) -> list[str]:
    """The columns of queries that are no text: the peer reads none of them."""
    table = data.part("train").queries.table
    return [name for name in table.column_names if name not in ("id", "split", *data.query_text)]


def texts_of(data: Dataset) -> tuple[list[str], list[str]]:
    """The texts of the items, and of the training queries."""
    queries = data.part("train").queries
    return text_of(data.items, data.item_text), queries.text(data.query_text)


def peer(data: Dataset, arguments: argparse.Namespace):
    """Train a StaticEmbedding; return its encoder."""
    from datasets import Dataset as Rows
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import SentenceTransformerTrainer as Trainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.models import StaticEmbedding

    (items, queries), pairs = texts_of(data), data.part("train").truth.pairs()
    with tempfile.TemporaryDirectory() as folder:
        module = StaticEmbedding(vocabulary(data), embedding_dim=arguments.dim)
        model = SentenceTransformer(modules=[module], device="cpu")
        columns = {
            "anchor": [queries[q] for q, _ in pairs],
            "positive": [items[i] for _, i in pairs],
        }
        options = Arguments(
            folder,
            num_train_epochs=arguments.epochs,
            per_device_train_batch_size=arguments.batch_size,
            learning_rate=arguments.peer_learning_rate,
            warmup_steps=0.05,
            dataloader_drop_last=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        Trainer(
            model=model,
            args=options,
            train_dataset=Rows.from_dict(columns),
            loss=MultipleNegativesRankingLoss(model),
        ).train()
    return lambda texts: model.encode(
        texts, normalize_embeddings=True, show_progress_bar=False
    ).astype(np.float32)


def vocabulary(data: Dataset, size: int = 30_000):
    """A WordPiece tokenizer learnt from the titles, once."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    if not _learnt:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=["[UNK]"], show_progress=False
        )
        items, queries = texts_of(data)
        tokenizer.train_from_iterator([*items, *queries], trainer)
        _learnt.append(tokenizer)
    return _learnt[0]


_learnt: list = []


def first_right(encode, data: Dataset) -> float:
    """P@1 on the validation queries."""
    part = data.part("validation")
    index = Exact(encode(texts_of(data)[0]))
    found = index.search(encode(part.queries.text(data.query_text)), 1)
    return float(part.truth.correct(found.rows).mean())


def measure(data: Dataset, arguments: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Pairs a second of every round, and P@1 of the last."""
    pairs = len(data.part("train").truth.pairs())
    batch = arguments.batch_size
    trained = pairs // batch * batch * arguments.epochs
    run = {
        RUNS[0]: lambda: ours(data, arguments, ["softmax"]),
        PEER: lambda: peer(data, arguments),
        RUNS[2]: lambda: ours(data, arguments, ["softmax", "alc", "tcm"]),
    }
    rates: dict[str, list[float]] = {name: [] for name in RUNS}
    right = {}
    vocabulary(data)  # learning it is not counted
    for turn in range(arguments.rounds):
        for name in RUNS[:: 1 if turn % 2 else -1]:
            begun = time.perf_counter()
            encode = run[name]()
            rates[name].append(trained / (time.perf_counter() - begun))
            right[name] = first_right(encode, data)
    return {name: {"pairs_per_second": rates[name], "P@1": right[name]} for name in RUNS}


def until(data: Dataset, arguments: argparse.Namespace) -> dict[str, object]:
    """How soon ours has the P@1 of the peer's best run."""
    vocabulary(data)
    runs = []
    for rate in PEER_RATES:
        for epochs in PEER_EPOCHS:
            asked = argparse.Namespace(
                **{**vars(arguments), "peer_learning_rate": rate, "epochs": epochs}
            )
            begun = time.perf_counter()
            encode = peer(data, asked)
            seconds = time.perf_counter() - begun
            runs.append({"P@1": first_right(encode, data), "seconds": seconds})
            runs[-1] |= {"learning_rate": rate, "epochs": epochs}
    best = max(runs, key=lambda run: run["P@1"])
    own, one_epoch = [], argparse.Namespace(**{**vars(arguments), "epochs": 1})
    for share in SHARES:
        begun = time.perf_counter()
        encode = ours(data, one_epoch, ["softmax"], share)
        seconds = time.perf_counter() - begun
        own.append({"share": share, "P@1": first_right(encode, data), "seconds": seconds})
        if own[-1]["P@1"] >= best["P@1"]:
            break
    return {"peer": best, "peer_runs": runs, "ours": own[-1], "our_runs": own}


def table(report: dict[str, dict[str, object]]) -> str:
    """Markdown: median, lowest and highest rate, and the median of each round's ratio."""
    lines = ["| | pairs/s (median) | lowest to highest | times the peer | P@1 |", "|-|-:|-:|-:|-:|"]
    for name, got in report.items():
        rates = got["pairs_per_second"]
        against = zip(rates, report[PEER]["pairs_per_second"], strict=True)
        ratio = statistics.median(a / b for a, b in against)
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} "
            f"| {ratio:.2f} | {got['P@1']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the arguments; print a table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=bundled("pricerunner"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--until", action="store_true", help="how soon the peer's best is reached")
    parser.add_argument("--peer-learning-rate", type=float, default=0.2)
    arguments = parser.parse_args()
    try:
        import datasets  # noqa: F401  (the trainer needs it)
        import sentence_transformers  # noqa: F401
    except ImportError as missing:
        raise SystemExit(
            f"{missing}; the peer needs: pip install sentence-transformers accelerate datasets"
        ) from None
    torch.set_num_threads(arguments.threads)
    files = {name: arguments.data / f"{name}.parquet" for name in ("items", "queries", "pairs")}
    data = load_dataset(DataOptions(**files))
    if arguments.until:
        print(json.dumps(until(data, arguments), indent=1))
        return
    report = measure(data, arguments)
    print(table(report))
    options = {key: str(value) for key, value in vars(arguments).items()}
    print(json.dumps({"options": options, "runs": report}))


if __name__ == "__main__":
    main()
