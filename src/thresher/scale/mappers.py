"""Who makes the parts: this process, or actors on Ray (extra `scale`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from thresher.errors import InputError
from thresher.scale.cluster import connected

Made = Iterator[dict[str, Any]]


def local(worker: Any, job: Any, numbers: Sequence[int]) -> Made:
    """One part after the other in this process."""
    make = worker(job)
    return map(make, numbers)


def on_ray(worker: Any, job: Any, numbers: Sequence[int]) -> Made:
    """As many at a time as the cluster has processors, by a Ray Data job whose rows are parts.

    Ray starts an actor that died again and gives its part to another, which writes it whole.

    Raises:
        InputError: Ray is not installed or not reached, a part cannot be made, or Ray gives up.
    """
    ray = connected()
    ray.data.DataContext.get_current().enable_progress_bars = False
    size = max(1, min(len(numbers), int(ray.cluster_resources().get("CPU", 1))))
    parts = ray.data.from_items([{"part": n} for n in numbers], override_num_blocks=len(numbers))
    made = parts.map_batches(
        _Actor,
        fn_constructor_args=(worker, job),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=size),
        num_cpus=1,
    )
    try:
        for row in made.iter_rows():
            if row["error"]:
                raise InputError(row["error"])
            yield row
    except ray.exceptions.RayError as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"Ray gave up ({said}); the same command goes on from the parts that are there"
        ) from error


class _Actor:
    """A worker on Ray; what a user got wrong comes back as a row, for Ray would retry it."""

    def __init__(self, worker: Any, job: Any) -> None:
        self._made_by, self._job = worker, job
        self._worker: Any = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        (number,) = batch["part"].tolist()
        error = ""
        try:
            self._worker = self._worker or self._made_by(self._job)
            self._worker(number)
        except InputError as wrong:
            error = str(wrong)
        return {"part": [number], "error": [error]}


MAPPERS: Mapping[str, Callable[[Any, Any, Sequence[int]], Made]] = {"local": local, "ray": on_ray}
"""What `--on` may say -> who makes the parts."""
