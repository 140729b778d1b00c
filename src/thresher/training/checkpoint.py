"""A training run on disk: weights, optimiser and position, written aside and then renamed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from thresher.errors import InputError
from thresher.files import aside


@dataclass(frozen=True)
class Position:
    """Where training stands: all that is not a tensor.

    The epoch under way and the next step inside it count from 0. `best` is the value of the metric
    that chose the best weights, None before the first validation, and `stale` the validations since
    then. The fingerprint is of the configuration and data, so that nothing else is resumed by
    mistake.
    """

    epoch: int
    step: int
    best: float | None
    stale: int
    fingerprint: str


def save(
    path: Path,
    position: Position,
    modules: Mapping[str, nn.Module],
    optimizer: Optimizer | None = None,
    extra: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes one safetensors file; a process killed while writing leaves the previous one."""
    tensors = {f"{name}.{k}": v for name, m in modules.items() for k, v in m.state_dict().items()}
    tensors |= {f"extra.{k}": v for k, v in (extra or {}).items()}
    if optimizer is not None:
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    # Several names may share one tensor's memory, which the format refuses: keep copies.
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with aside(path) as part:
        save_file(kept, str(part), metadata={"position": json.dumps(vars(position))})


def load(
    path: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer | None = None
) -> tuple[Position, dict[str, Tensor]]:
    """Puts weights and optimiser back as they were; returns the position and the extra tensors.

    InputError where the file is missing, truncated or of another model.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            position = Position(**json.loads(file.metadata()["position"]))
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, name))
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path} is no checkpoint of this model ({_first_line(error)}); "
            f"remove it to train from the start"
        ) from error
    if optimizer is not None:
        optimizer.load_state_dict(_optimizer_state(optimizer, _under(tensors, "optimizer")))
    return position, _under(tensors, "extra")


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(name + ".")}


def _optimizer_state(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
