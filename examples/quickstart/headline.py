"""Prints the one sentence of a report, and where the report is: headline.py ARTIFACT."""

import json
import sys
from pathlib import Path


def sentence(report: dict) -> str:
    """What the certified threshold does with the test queries, or why there is none."""
    found = report["decision"]
    if found is None or found["refused"]:
        return found["refused"] if found else "no threshold has been calibrated"
    test = found["test"]
    target, coverage = round(100 * found["target"], 3), 100 * test["coverage"]
    said = (
        f"at {target:g} % precision you can automate {coverage:.0f} % of your matching; "
        f"of {test['queries']:,} test queries {test['accepted']:,} were accepted"
    )
    if not test["accepted"]:
        return said
    low, high = test["interval"]
    return (
        f"{said}, {100 * test['precision']:.1f} % of them rightly "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )


def main() -> None:
    """Reads `report/report.json` of the artifact named on the command line."""
    folder = Path(sys.argv[1]) / "report"
    print()
    print(sentence(json.loads((folder / "report.json").read_text("utf-8"))))
    print(f"the report: {folder / 'report.html'}")


if __name__ == "__main__":
    main()
