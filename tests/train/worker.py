"""What a process does that is killed, and what each of several processes does."""

import os
import sys
from pathlib import Path

import torch

from oracles.synonyms import Watched, goal, made
from thresher import distributed
from thresher.train.loop import train
from thresher.train.options import TrainOptions

KILLED = TrainOptions(
    epochs=4,
    batch_size=24,
    cluster_from_epoch=2,
    cluster_size=6,
    checkpoint_steps=3,
    mini_batch_size=0,
)
SHARED = TrainOptions(epochs=2, batch_size=24, logq=True, cluster_from_epoch=1, cluster_size=6)


def killed(folder, step):
    """Trains until SIGKILL in the middle of the given step."""
    torch.set_num_threads(1)
    tower, pairs, _ = made()
    train(tower, goal(Watched(kill_at=step)), pairs, KILLED, folder, fingerprint="f")


def shared(rank, world, port, folder):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    environment = {name: str(number) for name, number in numbers.items()}
    distributed.init({**environment, "MASTER_ADDR": "127.0.0.1"}, device=torch.device("cpu"))
    tower, pairs, _ = made(token_dropout=0.0)
    train(tower, goal(), pairs, SHARED, folder, validate=lambda: {"P@1": 0.5}, quiet=True)
    torch.save(tower.state_dict(), folder / f"{rank}.pt")
    distributed.close()


if __name__ == "__main__":
    killed(Path(sys.argv[1]), int(sys.argv[2]))
