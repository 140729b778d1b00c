# ruff: noqa: T201 - it speaks to the test
"""A process that writes to a store until it is killed, and says what was acknowledged.

    python writer.py URL NAME COUNT

Each line is `verdict CASE ID` or `item VERSION ID`, printed after the call returned.
"""

import sys

from thresher.review import Store


def main(url, name, count):
    with Store.open(url) as store:
        print("ready", flush=True)
        for i in range(int(count)):
            case = store.lease(name, order="age")
            given = store.verdict(case.id, reviewer=name, kind="item", item_id=f"i{i}")
            print("verdict", case.id, given.id, flush=True)
            version = store.upsert([{"id": f"{name}-{i}", "title": "x" * 200}])
            print("item", version, f"{name}-{i}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
