import pytest
import torch

from thresher import distributed
from thresher.errors import InputError

FULL = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}
CPU = torch.device("cpu")


def test_one_process_is_left_alone():
    x = torch.randn(3, 2, requires_grad=True)
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    used.sum().backward()
    distributed.average_gradients([used, unused])
    assert distributed.init({}, device=CPU) == CPU
    assert distributed.init({"WORLD_SIZE": "1"}, device=CPU) == CPU
    assert (distributed.rank(), distributed.world()) == (0, 1)
    assert distributed.gather(x) is x
    assert torch.equal(distributed.all_sum(x), x)
    assert not distributed.all_sum(x).requires_grad
    assert used.grad.tolist() == [1, 1]
    assert unused.grad is None
    distributed.barrier()
    distributed.close()


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_a_missing_variable_is_named(name):
    environment = {key: value for key, value in FULL.items() if key != name}
    with pytest.raises(InputError, match=f"WORLD_SIZE is 2 but {name} is not set.*torchrun"):
        distributed.init(environment, device=CPU)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_that_is_no_number_is_named(name):
    with pytest.raises(InputError, match=f"{name} is 'two', not a whole number"):
        distributed.init({**FULL, name: "two"}, device=CPU)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"process 1 of this machine has no GPU.*nproc-per-node=1"):
        distributed.init({**FULL, "LOCAL_RANK": "1"}, device=torch.device("cuda"))
