"""One worker: who waits when a batch begins is in it, and beyond the limit nobody may wait."""

import threading

import pytest

from thresher.serve.batching import Busy, Job, Worker


class Held:
    """Keeps each batch in work until it is let go, and notes what was in it."""

    def __init__(self):
        self.batches, self.began, self.go = [], threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, jobs):
        self.batches.append([job.k for job in jobs])
        self.began.release()
        assert self.go.acquire(timeout=20)


def job(name, rows=1):
    return Job("match", [{}] * rows, name)


@pytest.fixture
def held():
    return Held()


def test_all_that_wait_are_taken_up_to_the_most(held):
    worker = Worker("test", held, most=4)
    worker.put(job(1))
    assert held.began.acquire(timeout=20)
    for name, rows in ((2, 2), (3, 2), (4, 1), (5, 9), (6, 1)):
        worker.put(job(name, rows))
    assert worker.waiting == 15
    held.go.release(10)
    worker.close()
    # 2 and 3 fill a batch; 5, which is larger than any, is one of its own.
    assert held.batches == [[1], [2, 3], [4], [5], [6]]
    assert not worker.alive


def test_beyond_the_limit_requests_are_refused_but_one_alone_never(held):
    worker = Worker("test", held, most=4, waiting=3)
    worker.put(job(1, 100))
    assert held.began.acquire(timeout=20)
    worker.put(job(2, 100))
    with pytest.raises(Busy, match="try again in 1 s") as refused:
        worker.put(job(3))
    assert refused.value.seconds == 1
    held.go.release(10)
    worker.close()
    assert held.batches == [[1], [2]]
    with pytest.raises(Busy):
        worker.put(job(4))
