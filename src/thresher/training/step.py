"""One step of training, in two ways that give the same gradient.

Neither averages gradients over processes, nor moves a weight: a loop may take several steps, then
calls `distributed.average_gradients` once, clips, and updates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.objective import Objective
from thresher.types import Batch, Encoder, Inputs


def plain_step(encode: Encoder, batch: Batch, objective: Objective) -> dict[str, float]:
    """Add the gradients of one batch, and return what to log.

    Memory: what the encoder keeps for backward, of the whole batch.
    """
    vectors = {name: encode(name, inputs) for name, inputs in batch.inputs.items()}
    total, logs = objective.reduce(vectors, batch.links)
    total.backward()
    return dict(logs)


def cached_step(
    encode: Encoder, batch: Batch, objective: Objective, *, mini_batch_size: int
) -> dict[str, float]:
    """Add the gradients of one batch with the encoder's memory of one mini-batch at a time.

    The batch is encoded twice, `mini_batch_size` rows at a time, 1 or more: first for its vectors,
    on which the objective finds the gradient of every vector; then part by part, to carry that
    gradient into the encoder. Random numbers, of dropout say, are replayed, so that the second pass
    meets the same network as the first.

    **Source**: Gao et al., *Scaling deep contrastive learning batch size under memory limited
    setup* (GradCache), RepL4NLP 2021, arXiv 2101.06983.

    Memory: what the encoder keeps for a mini-batch, the vectors of the batch, their gradients.
    """
    states: dict[str, list[_RandomState]] = {}
    vectors: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, inputs in batch.inputs.items():
            states[name], rows = [], []
            for part in _parts(inputs, mini_batch_size):
                states[name].append(_RandomState.now())
                rows.append(encode(name, part))
            vectors[name] = torch.cat(rows).requires_grad_()
    total, logs = objective.reduce(vectors, batch.links)
    total.backward()
    # Some releases of torch let autocast reuse the weights cast above, which carry no gradient.
    torch.clear_autocast_cache()
    after = _RandomState.now()
    for name, inputs in batch.inputs.items():
        gradient = vectors[name].grad
        if gradient is None:  # no term reads this input
            continue
        for part, state, wanted in zip(
            _parts(inputs, mini_batch_size),
            states[name],
            gradient.split(mini_batch_size),
            strict=True,
        ):
            state.restore()
            again = encode(name, part)
            if again.requires_grad:  # a frozen tower has nothing to learn
                again.backward(wanted)
    after.restore()
    return dict(logs)


@dataclass(frozen=True)
class _RandomState:
    """Where the random number generators of the CPU and of every GPU stand."""

    cpu: Tensor
    cuda: list[Tensor]

    @classmethod
    def now(cls) -> "_RandomState":
        # Before CUDA is in use there is nothing to replay, and asking would start it.
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(torch.get_rng_state(), gpus)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


def _parts(inputs: Inputs, rows: int) -> Iterator[Inputs]:
    # An input without rows is still encoded, once, for the width of its vectors.
    for start in range(0, max(len(inputs), 1), rows):
        yield inputs[start : start + rows]
