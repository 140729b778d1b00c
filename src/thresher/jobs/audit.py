"""What a run's data holds and what is wrong with it, before anything is trained."""

from dataclasses import replace
from typing import Any

from thresher.config import Config
from thresher.data.audit import audit as audit_data
from thresher.data.dataset import load_dataset
from thresher.data.finding_texts import found as finding
from thresher.decision import MIN_LABELS
from thresher.errors import InputError
from thresher.jobs.train import check
from thresher.progress import phase


def audit(config: Config, *, quiet: bool = False) -> dict[str, Any]:
    """Look through the data of a run: sizes, splits, and what training would refuse.

    Args:
        config: of the run.
        quiet: no progress bar.

    Returns:
        Sizes and findings as JSON values; `ok` is the answer, `lines` the same for a terminal.

    Raises:
        InputError: for a file that cannot be read at all.
    """
    options, tower = config.build("data"), config.build("tower")
    with phase("looking through the data", quiet=quiet):
        found = audit_data(
            options,
            config.folder,
            batch_size=(config.sections["train"]["batch_size"] or 1) if tower.trained else 0,
            calibration_queries=MIN_LABELS if config.decides else 0,
        )
        if found.ok:  # what columns hold is looked at by those who read them
            try:
                data = load_dataset(options, config.folder)
                check(config, data)
                tower.fit(data, config.build("features"))
            except InputError as error:
                refused = finding("refused", 1, sentence=error)
                found = replace(found, findings=(*refused, *found.findings))
    return {**found.to_dict(), "lines": found.lines()}
