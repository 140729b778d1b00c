"""One process or many: the only module that calls `torch.distributed`.

Every function does nothing in one process, so no caller asks how many there are. The rule that
makes several processes equal to one: a process keeps its own left rows, `gather`s the right rows of
all, divides sums by counts that are added over processes (`all_sum`, in the objective), and the
training loop averages the gradients once before it uses them (`average_gradients`).
"""

from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from thresher.errors import InputError

_NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def init(environment: Mapping[str, str], *, device: torch.device) -> torch.device:
    """Join the processes that `torchrun` started, and say which device is this process's own.

    Without `WORLD_SIZE`, or with 1, nothing is started and `device` comes back as it is.

    Args:
        environment: the variables that `torchrun` sets (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR,
            MASTER_PORT); a command passes `os.environ`.
        device: the kind of device to train on; "cuda" becomes "cuda:LOCAL_RANK".

    Raises:
        InputError: a variable is missing or no number, or a machine runs more processes than GPUs.
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return device
    missing = [name for name in _NEEDED if name not in environment]
    if missing:
        raise InputError(
            f"WORLD_SIZE is {environment['WORLD_SIZE']} but {', '.join(missing)} is not set; start "
            "several processes with torchrun, which sets them all"
        )
    local = _number(environment, "LOCAL_RANK")
    if device.type == "cuda":
        gpus = torch.cuda.device_count()
        if local >= gpus:
            raise InputError(
                f"process {local} of this machine has no GPU of its own, for there are {gpus}; "
                f"start torchrun with --nproc-per-node={gpus} at most"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group(
        # Counts and logs may lie on the CPU while the vectors lie on a GPU.
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=f"tcp://{environment['MASTER_ADDR']}:{_number(environment, 'MASTER_PORT')}",
        rank=_number(environment, "RANK"),
        world_size=_number(environment, "WORLD_SIZE"),
        device_id=device if device.type == "cuda" else None,
    )
    return device


def close() -> None:
    """Leave the group of processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0; process 0 writes the files and speaks to the terminal."""
    return dist.get_rank() if dist.is_initialized() else 0


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()


def gather(x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
    """Put the rows of every process one under the other, in the order of the processes.

    The gradient is exact: backward adds up what every process did with this process's rows. Every
    process must call it, and give the same number of rows: the sampler guarantees that.

    Memory: the rows of all processes, twice while they are put together.
    """
    if world() == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


def all_sum(x: Tensor) -> Tensor:
    """Add a tensor over the processes. No gradient flows through the sum."""
    x = x.detach()
    if world() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the processes.

    The training loop calls it once an update, after the last backward and before it clips. A
    parameter that only some processes used counts as zero on the others; one that no process used
    keeps no gradient, so an optimiser treats it as it would in one process.
    """
    trained = [p for p in parameters if p.requires_grad]
    if world() == 1 or not trained:
        return
    used = torch.tensor([p.grad is not None for p in trained], device=trained[0].device)
    for p, count in zip(trained, all_sum(used.int()).tolist(), strict=True):
        if count == 0:
            continue
        if p.grad is None:
            p.grad = torch.zeros_like(p)
        dist.all_reduce(p.grad)
        p.grad /= world()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        return all_sum(grad.contiguous()).chunk(world())[rank()]


def _number(environment: Mapping[str, str], name: str) -> int:
    if not environment[name].isdecimal():
        raise InputError(
            f"{name} is {environment[name]!r}, not a whole number; let torchrun set it"
        )
    return int(environment[name])
