"""What each of several real processes does; its parent compares what it wrote with one process."""

import json
import os

import torch

from parity.scenario import (
    Featured,
    Read,
    Towers,
    adapted,
    featured_objective,
    featured_share,
    gradient,
    mined_objective,
    mined_share,
    objective,
    parameters,
    read_share,
    sampled_objective,
    sampled_share,
    share,
    whole,
)
from thresher import distributed
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.training.step import cached_step, plain_step


def work(rank, world, port, folder):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    environment = {name: str(number) for name, number in numbers.items()}
    environment["MASTER_ADDR"] = "127.0.0.1"
    device = distributed.init(environment, device=torch.device("cpu"))
    assert (distributed.rank(), distributed.world(), device.type) == (rank, world, "cpu")
    own = torch.tensor([1.0, rank])
    batch = share(whole(), rank, world)
    found = {
        "plain": gradients(plain_step, batch, objective()),
        "cached": gradients(cached, batch, objective(block=3)),
        "mined": gradients(plain_step, mined_share(rank, world), mined_objective()),
        **{
            f"sampled, in_batch {own}": gradients(
                plain_step, sampled_share(rank, world, in_batch=own), sampled_objective()
            )
            for own in (True, False)
        },
        **{
            f"featured, {name}": gradients(step, featured_share(), featured_objective(), Featured())
            for name, step in (("plain", plain_step), ("cached", cached))
        },
        "read": gradients(plain_step, read_share(), sampled_objective().float(), Read()),
        "adapted": adapted(rank, world),
        "gathered": distributed.gather(torch.tensor([[rank, 0], [rank, 1]])).tolist(),
        "summed": distributed.all_sum(own).tolist(),
        "own": own.tolist(),
        "partial": partial_use(rank),
        "nan": not_a_number(rank),
    }
    distributed.barrier()
    (folder / f"{rank}.json").write_text(json.dumps(found))
    distributed.close()


def cached(*args):
    return cached_step(*args, mini_batch_size=2)


def gradients(step, batch, goal, towers=None):
    towers = towers or Towers()
    logs = step(towers, batch, goal)
    distributed.average_gradients(parameters(towers, goal))
    return {"logs": logs, "gradients": [gradient(p) for p in parameters(towers, goal)]}


def partial_use(rank):
    """Gradients of: a parameter that process 0 alone uses, one that none uses, a frozen one."""
    some, none, frozen = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen.requires_grad_(False)
    if rank == 0:
        (6 * some).sum().backward()
    distributed.average_gradients([some, none, frozen])
    return [p.grad if p.grad is None else p.grad.tolist() for p in (some, none, frozen)]


def not_a_number(rank):
    """The last process has a broken query; what does this one say?"""
    batch = share(whole(), rank, distributed.world())
    vectors = {name: x.clone() for name, x in batch.inputs.items()}
    if rank == distributed.world() - 1:
        vectors["query"][0] = torch.nan
    try:
        Objective([Term("main", Softmax(), "bought"), Term("ssl", Softmax(), "same_item")]).reduce(
            vectors, batch.links
        )
    except FloatingPointError as error:
        return str(error)
    return "nothing"
