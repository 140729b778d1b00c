"""Ray, when it is asked for (extra `scale`)."""

import logging
import os
from typing import Any

from thresher.errors import InputError


def connected() -> Any:
    """The module `ray`, with the cluster of `RAY_ADDRESS`, or one that starts on this machine.

    Raises:
        InputError: Ray is not installed, or no cluster is reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("--on ray needs the extra: pip install 'thresher[scale]'") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # a plain one where its own processes start too slowly
        said = str(error).splitlines()[0]
        raise InputError(f"no Ray cluster is reached ({said}); check RAY_ADDRESS") from error
    return ray
