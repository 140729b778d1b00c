"""Self-supervised arms against a plain tower that is tuned as long, on data or over a map of it.

    python benchmarks/self_supervision.py --data FOLDER --out runs/ssl
    python benchmarks/self_supervision.py --grid map --out runs/map
    python benchmarks/self_supervision.py --grid paper --data generated --out runs/ssl-paper

Cells that were measured before are not run again. Writes table.md, table.json and the figures.
"""

from grids import command
from grids.ssl import Request, ssl
from grids.ssl_map import Terrain
from grids.ssl_paper import HIDDEN


def main() -> None:
    """Reads the arguments and runs the grid."""
    default = Terrain()
    parser = command.parser(__doc__)
    parser.add_argument("--data", help="a folder, or a run's TOML; of paper also: generated")
    parser.add_argument("--grid", default="arms", help="arms, map of made-up data, or paper")
    parser.add_argument("--arm", action="append", default=[], help="plain, FD, SO, RFM, CFM, ...")
    parser.add_argument("--share", type=float, nargs="+", default=[1.0, 0.1], help="of the pairs")
    parser.add_argument("--logq", default="both", help="both, on or off")
    parser.add_argument("--trials", type=int, default=4, help="of each arm, on the first seed")
    parser.add_argument("--at", default="recall@10", help="metric on validation to tune for")
    parser.add_argument("--sparsity", type=float, nargs="+", default=default.sparsity)
    parser.add_argument("--correlation", type=float, nargs="+", default=default.correlation)
    parser.add_argument("--synonyms", type=int, default=default.synonyms)
    parser.add_argument("--unlabelled", type=float, default=default.unlabelled)
    parser.add_argument("--items", type=int, help="of made-up data: 5,000 of map, 20,000 of paper")
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN, help="layers of paper")
    given = parser.parse_args()

    def grid(jobs, report):
        request = Request(
            data=given.data,
            out=given.out,
            grid=given.grid,
            arms=given.arm,
            shares=given.share,
            logq=given.logq,
            trials=given.trials,
            seeds=given.seeds,
            at=given.at,
            terrain=Terrain(
                items=given.items or default.items,
                sparsity=given.sparsity,
                correlation=given.correlation,
                synonyms=given.synonyms,
                unlabelled=given.unlabelled,
            ),
            items=(given.items if given.grid == "paper" else None) or Request.items,
            hidden=given.hidden,
            overrides=given.set,
        )
        return ssl(request, jobs=jobs, report=report)

    shown = ["best/test/recall@10", "last/test/recall@10"] if given.grid == "paper" else []
    command.run(given, grid, (*shown, f"validation/{given.at}", f"test/{given.at}"))


if __name__ == "__main__":
    main()
