"""SASRec as RecTools has it."""

import copy
import logging
import time
import warnings
from itertools import pairwise
from typing import Any

import numpy as np

from history_contenders.task import Score, Task, learn, popularity
from thresher.data.sequences import Sequences

LONGEST = 50


def sasrec(task: Task, *, loss: str, learning_rate: float, dropout: float) -> Score:
    """Causal self-attention, two blocks of 64 dimensions, an epoch a round."""
    import torch

    data, model = built(task, loss, learning_rate, dropout)
    shares = popularity(task)

    def score(histories: Sequences) -> np.ndarray:
        network = model.torch_model.eval()
        numbers = model.data_preparator.get_known_items_sorted_internal_ids()
        known = model.data_preparator.get_known_item_ids().astype(np.int64)
        place = np.zeros(task.items, np.int64)  # 0 is padding
        place[known] = numbers
        with torch.no_grad():
            items = network.item_model.get_all_embeddings()
            inputs = {"x": torch.from_numpy(padded(histories, place, model.session_max_len))}
            users = network.encode_sessions(inputs, items)[:, -1]
            found = (users @ items[numbers].T).numpy()
        scores = np.full((len(histories), task.items), -np.inf, np.float32)
        scores[:, known] = found
        empty = ~(inputs["x"].numpy() > 0).any(axis=1)
        scores[empty] = shares  # nothing of the history was seen in training
        return scores

    best = learn(
        task,
        # At least 0 epochs, or else it goes on to the end of one whatever the time.
        lambda: model.fit_partial(data, min_epochs=0, max_epochs=1),
        score,
        lambda: copy.deepcopy(model.torch_model.state_dict()),
    )
    model.torch_model.load_state_dict(best)
    return score


def padded(histories: Sequences, place: np.ndarray, longest: int) -> np.ndarray:
    """The last known items of each user, zeros before them."""
    rows = np.zeros((len(histories), longest), np.int64)
    for row, (start, end) in enumerate(pairwise(histories.starts)):
        last = place[histories.items[start:end]]
        last = last[last > 0][-longest:]
        rows[row, longest - len(last) :] = last
    return rows


def built(task: Task, loss: str, learning_rate: float, dropout: float) -> tuple[Any, Any]:
    """RecTools' data set and its model, not trained yet."""
    import pandas as pd
    import torch
    from pytorch_lightning import Trainer, seed_everything
    from pytorch_lightning.callbacks import LambdaCallback
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(task.threads)
    seed_everything(task.seed)
    counts = task.sequences.counts()
    table = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(counts)), counts),
            Columns.Item: task.sequences.items,
            Columns.Weight: 1,
            # It sorts by time; the place in the sequence is as good as one.
            Columns.Datetime: pd.to_datetime(np.arange(len(task.sequences.items)), unit="s"),
        }
    )
    longest = int(np.clip(np.quantile(counts, 0.95), 5, LONGEST))

    limit = 0.0  # on an epoch; its own max_time goes by the clock, whatever else runs

    def start(*_: Any) -> None:
        nonlocal limit
        limit = time.process_time() + 60 * task.minutes

    def check(trainer: Any, *_: Any) -> None:
        trainer.should_stop = time.process_time() > limit

    def trainer() -> Trainer:
        return Trainer(
            callbacks=[LambdaCallback(on_train_start=start, on_train_batch_end=check)],
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    model = SASRecModel(
        n_factors=64,
        n_blocks=2,
        n_heads=2,
        dropout_rate=dropout,
        session_max_len=longest,
        loss=loss,
        n_negatives=64,
        lr=learning_rate,
        batch_size=128,
        get_trainer_func=trainer,
        recommend_torch_device="cpu",
    )
    return Dataset.construct(table), model


def sasrec_rounds(task: Task) -> tuple[int, Any]:
    """Events that are predicted in an epoch, and how to train some epochs."""
    data, model = built(task, "sampled_softmax", 3e-3, 0.2)
    counts = np.minimum(task.sequences.counts() - 1, model.session_max_len)

    def train(epochs: int) -> None:
        model.fit_partial(data, min_epochs=epochs, max_epochs=epochs)

    return int(counts[counts > 0].sum()), train
