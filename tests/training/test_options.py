"""Defaults that depend on the data or on the tower."""

import pytest

from thresher.config import read
from thresher.errors import InputError
from thresher.training.options import TrainOptions


@pytest.mark.parametrize(
    ("pairs", "world", "size"),
    # 100,000 / 8 is over 512; 475 / 8 = 59; 59 shared by 2 is 58; 3 / 8 is under 1.
    [(100_000, 1, 512), (475, 1, 59), (475, 2, 58), (3, 1, 1)],
)
def test_the_default_batch_leaves_eight_steps_an_epoch(pairs, world, size):
    assert TrainOptions().pairs_a_step(pairs, world) == size


def test_the_default_batch_is_larger_where_a_user_s_events_are_read_together():
    assert TrainOptions().pairs_a_step(100_000, 1, most=4096) == 4096
    assert TrainOptions().pairs_a_step(8_000, 1, most=4096) == 1000


def test_a_batch_size_of_ones_own_is_kept_or_refused():
    assert TrainOptions(batch_size=64).pairs_a_step(10, 2) == 64
    with pytest.raises(InputError, match="multiple of 2"):
        TrainOptions(batch_size=7).pairs_a_step(1000, 2)


def test_a_pretrained_model_is_trained_at_its_own_rate():
    sentence = ['tower.kind="sentence"', 'tower.checkpoint="somewhere"']
    assert read(None, sentence).sections["train"]["learning_rate"] == 2e-5
    assert read(None).sections["train"]["learning_rate"] == 0.1
    own = read(None, [*sentence, "train.learning_rate=1e-4"])
    assert own.sections["train"]["learning_rate"] == 1e-4
