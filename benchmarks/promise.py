"""Is the certified precision kept on real traffic? Calibrations are drawn again many times.

    python benchmarks/promise.py ARTIFACT [ARTIFACT ...] [--absent 0 0.1 0.3] [--draws 1000]
    python benchmarks/promise.py --by-row FOLDER

Taken as all the traffic there is: the held-out queries of an artifact, those of the certifying part
and of the test split. The re-ranker, and the part that chooses thresholds, stay as they are.
Queries are drawn one by one with replacement, as traffic comes, so that frequent titles come often;
as many as the certifying part has. A threshold is certified on each draw, and the precision above
it is measured on all the traffic: of titles that training knew and of new ones by itself, since
both are promised. A share of the products can be taken from the catalogue (`decide.absent`), in
calibration and traffic alike. Beside it what happens when each label counts as
one, and when known titles are not kept apart.

The splits of an artifact are by title, so none of its held-out titles is known. `--by-row` writes
the bundled PriceRunner tables with splits drawn by row, and a run of them: a fifth of its offers
have a title that others have too, so that a tenth of those held out are known to training.
"""

import argparse
import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from thresher.data.bundled import bundled
from thresher.data.options import SHARES
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.data.split import SPLITS, normalised
from thresher.data.tables import read_table, write_table
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import KNOWN_TEXT, Policy
from thresher.decide.sequence import draw_clusters
from thresher.decision import fit_decision
from thresher.errors import InputError
from thresher.retriever import Retriever

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart" / "quickstart.toml"
COLUMNS = ("confidence", "correct", "clusters", "known", "absent")


def titles(model: Retriever, part: Part) -> list[str]:
    """What makes queries equal: the text, without regard to case and white space."""
    return [normalised(text) for text in part.queries.text(model.catalogue.query_text)]


def proposed(model: Retriever, part: Part, absent: float) -> dict[str, np.ndarray]:
    """What the model proposes for queries of which a share has no item, and whether it is right."""
    clusters = np.unique(titles(model, part), return_inverse=True)[1].reshape(-1)
    hidden, pairs = draw_clusters(clusters, absent, seed=0), part.truth.pairs()
    gone = Relation.from_pairs(*pairs[hidden[pairs[:, 0]]].T, shape=part.truth.shape)
    found = model.propose(part.queries, ignored=part.ignored.union(gone))
    right = part.truth.correct(found.hits.rows[:, :1])[:, 0] & ~hidden
    return {
        "confidence": found.confidence,
        "correct": right,
        "known": np.zeros(len(part), bool)
        if model.known_texts is None
        else model.known(part.queries),
        "absent": hidden | (part.truth.counts() == 0),
    }


def held_out(model: Retriever, absent: float) -> tuple[dict, dict, int]:
    """What chooses thresholds, the other held-out queries, and how many certify.

    Training queries that choose have no id among the outcomes, and each another title.
    """
    options = replace(model.options, absent=absent)
    calibration, test = model.labelled("calibration"), model.labelled("test")
    decided = copy.copy(model)
    decided.decision = decision = fit_decision(model, calibration, options)
    own = decision.outcomes
    first = {name: getattr(own, name) for name in COLUMNS}
    for name in ("known", "absent"):
        if first[name] is None:
            first[name] = np.zeros(len(own.correct), bool)
    labels = np.array([name is not None for name in own.ids])
    training = {name: column[~labels] for name, column in first.items()}
    texts = [*titles(model, calibration), *titles(model, test)]
    codes = np.unique(texts, return_inverse=True)[1].reshape(-1)
    parts = {
        name: np.concatenate([first[name][labels], column])
        for name, column in proposed(decided, test, absent).items()
    } | {"clusters": codes}
    selection = np.concatenate([own.selection[labels], np.zeros(len(test), bool)])
    rest = ~np.isin(codes, codes[selection])
    chosen, traffic = (
        {name: column[rows] for name, column in parts.items()} for rows in (selection, rest)
    )
    training["clusters"] = codes.max() + 1 + np.arange(len(training["correct"]))
    chosen = {name: np.concatenate([column, training[name]]) for name, column in chosen.items()}
    return chosen, traffic, int((~own.selection).sum())


def certified(chosen: dict, drawn: dict, target: float, *, clustered: bool, apart: bool):
    """The policy of a draw; None where there is none."""
    both = {name: np.concatenate([chosen[name], drawn[name]]) for name in COLUMNS}
    if not clustered:
        both["clusters"] = np.arange(len(both["clusters"]))
    if not apart:
        both["known"] = None
    selection = np.arange(len(both["correct"])) < len(chosen["correct"])
    try:
        found = Outcomes([], selection=selection, **both).certify(target=target)
    except InputError:  # too few distinct texts
        return None
    return found if isinstance(found, Policy) else None


def kept(chosen: dict, traffic: dict, size: int, options: argparse.Namespace, **how: bool):
    """Share of the draws that keep the promise, and the mean coverage of the traffic."""
    rng, good, covered = np.random.default_rng(0), 0, 0.0
    for _ in range(options.draws):
        rows = rng.integers(len(traffic["correct"]), size=size)
        drawn = {name: column[rows] for name, column in traffic.items()}
        policy = certified(chosen, drawn, options.target, **how)
        if policy is None:
            good += 1  # nothing is accepted, so nothing is promised
            continue
        known = traffic["known"]
        accepted = policy.decide(traffic["confidence"], known=known)
        strata = (
            [accepted & known, accepted & ~known] if KNOWN_TEXT in policy.segments else [accepted]
        )
        good += all(traffic["correct"][s].mean() >= options.target for s in strata if s.any())
        covered += accepted.mean()
    return good / options.draws, covered / options.draws


def write_by_row(folder: Path) -> None:
    """PriceRunner with splits drawn by row, and the quickstart's run of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("items", "pairs"):
        shutil.copy(bundled("pricerunner") / f"{name}.parquet", folder)
    queries = read_table(bundled("pricerunner") / "queries.parquet")
    shares = [SHARES["queries"][name] for name in SPLITS]
    split = np.random.default_rng(0).choice(SPLITS, size=len(queries), p=shares)
    write_table(queries.append_column("split", pa.array(split)), folder / "queries.parquet")
    files = "\n".join(f'{name} = "{name}.parquet"' for name in ("items", "queries", "pairs"))
    run = QUICKSTART.read_text("utf-8").replace('bundled = "pricerunner"', files)
    (folder / "run.toml").write_text(run, "utf-8")


def main() -> None:
    """One line of a table for each artifact, share of missing products and way to count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifacts", type=Path, nargs="*")
    parser.add_argument("--by-row", type=Path, help="folder to write tables split by row to")
    parser.add_argument("--absent", type=float, nargs="+", default=[0.0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--target", type=float, default=0.95)
    options = parser.parse_args()
    if options.by_row:
        write_by_row(options.by_row)
    print("| artifact | no item | known | distinct | labels count | kept | coverage |")
    print("|-|-|-|-|-|-|-|")
    ways = {"as decided": (True, True), "as one each": (False, True), "known pooled": (True, False)}
    for folder in options.artifacts:
        model = Retriever.open(folder)
        for absent in options.absent:
            chosen, traffic, size = held_out(model, absent)
            gone, known = (traffic[name].mean() for name in ("absent", "known"))
            distinct = len(np.unique(traffic["clusters"])) / len(traffic["clusters"])
            shares = f"{gone:.1%} | {known:.1%} | {distinct:.1%}"
            for name, (clustered, apart) in ways.items():
                if apart or known:
                    numbers = kept(chosen, traffic, size, options, clustered=clustered, apart=apart)
                    shown = " | ".join(f"{number:.3f}" for number in numbers)
                    print(f"| {folder.name} | {shares} | {name} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
