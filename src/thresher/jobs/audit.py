"""What a run's data holds and what is wrong with it, before anything is trained."""

from typing import Any

from thresher.config import Config
from thresher.data.audit import audit as audit_data
from thresher.decision import MIN_LABELS


def audit(config: Config) -> dict[str, Any]:
    """Look through the data of a run: sizes, splits, and what training would refuse.

    Returns:
        Sizes and findings as JSON values; `ok` is the answer, `lines` the same for a terminal.

    Raises:
        InputError: for a file that cannot be read at all.
    """
    found = audit_data(
        config.build("data"),
        config.folder,
        batch_size=config.sections["train"]["batch_size"] or 1,
        calibration_queries=MIN_LABELS if config.decides else 0,
    )
    return {**found.to_dict(), "lines": found.lines()}
