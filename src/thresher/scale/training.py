"""Training by several processes that Ray starts: the same processes as `torchrun`'s."""

import os
import socket
import tomllib
from pathlib import Path
from typing import Any

from thresher.checks import whole
from thresher.config import Config, read
from thresher.errors import InputError
from thresher.scale.cluster import connected

_RESTARTS = 3  # after a process or a machine was lost


def train_on_ray(
    config: Config, out: Path, *, workers: int = 2, resume: bool = False
) -> dict[str, Any]:
    """Train a run by several processes, which are started again where one is lost.

    Each process reads the data and keeps its share of every batch, as under `torchrun`; gradients
    are those of one process on the whole batch. After a loss all go on from the last checkpoint in
    `out`, or begin again where there is none yet.

    Args:
        config: of the run; its data has to be seen by all machines under the same paths.
        out: folder of the artifact, likewise.
        workers: processes, each with one processor, or one GPU where the cluster has enough.
        resume: go on from a checkpoint that is there already.

    Returns:
        What was done, as `thresher.jobs.train`.

    Raises:
        InputError: Ray is not there, the cluster is too small, the run cannot be used, or processes
            were lost too often.
    """
    workers = whole("workers", workers, 65_536, "processes")
    ray = connected()
    free = ray.cluster_resources()
    if free.get("CPU", 0) < workers:
        raise InputError(
            f"--workers is {workers}, and the Ray cluster has {free.get('CPU', 0):g} processors; "
            "give no more than these"
        )
    gpus = int(free.get("GPU", 0) >= workers)
    given = (config.to_toml(), str(config.folder), str(out.resolve()))
    said = ""
    for _ in range(1 + _RESTARTS):
        try:
            return _trained(ray, workers, gpus, (*given, resume))
        except ray.exceptions.RayError as error:
            # Where one process is lost, another may be the first to say that it lost a connection.
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, InputError):
                raise InputError(str(cause)) from error
            said = str(cause).splitlines()[0]
            resume = any((out / "training").rglob("last.safetensors"))
    raise InputError(
        f"training was lost {1 + _RESTARTS} times ({said}); the same command with --resume goes on "
        "from the last checkpoint"
    )


def _trained(ray: Any, workers: int, gpus: int, given: tuple[Any, ...]) -> dict[str, Any]:
    """What the first of the processes says; the error of whichever fails first."""
    remote = ray.remote(num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")(_Process)
    processes = [remote.remote() for _ in range(workers)]
    try:
        address = ray.get(processes[0].address.remote())
        running = [p.train.remote(n, workers, address, *given) for n, p in enumerate(processes)]
        waiting = running
        while waiting:  # one that failed leaves the others waiting for it
            ended, waiting = ray.wait(waiting)
            ray.get(ended)
        done: dict[str, Any] = ray.get(running[0])
        return done
    finally:
        for process in processes:
            ray.kill(process)


class _Process:
    """One process of training, as an actor."""

    def address(self) -> tuple[str, int]:
        """Where the others find it."""
        import ray

        with socket.socket() as found:
            found.bind(("", 0))
            return ray.util.get_node_ip_address(), found.getsockname()[1]

    def train(
        self, rank: int, world: int, address: tuple[str, int], *given: Any
    ) -> dict[str, Any] | None:
        """Train with the others; only the first says what was done."""
        from thresher.jobs.train import train

        toml, folder, out, resume = given
        host, port = address
        # An actor sees the GPU that is its own, so that each is the first of its machine.
        named = {"RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": world, "MASTER_ADDR": host}
        os.environ.update({k: str(v) for k, v in {**named, "MASTER_PORT": port}.items()})
        run = read(tomllib.loads(toml))
        run = Config(run.sections, run.objective, Path(folder))
        result = train(run, Path(out), resume=resume, quiet=True)
        return None if result is None else result[1]
