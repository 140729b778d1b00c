"""The grid of the ALC paper: backbones bare, with TCM, with ALC, with both; and ablations.

    python benchmarks/alc.py --data pricerunner --out runs/alc
    python benchmarks/alc.py --data FOLDER --out runs/ablations --grid ablations
    python benchmarks/alc.py --data pricerunner --out runs/deployer --grid deployer --seeds 0 1

Cells that were measured before are not run again. Writes table.md, table.json and figure.png.
"""

from grids import command
from grids.alc import GRIDS, Request, alc, for_deployer, plan
from grids.backbones import BACKBONES


def main() -> None:
    """Reads the arguments and runs the grid."""
    parser = command.parser(__doc__)
    parser.add_argument("--data", required=True, help="pricerunner; a folder; or a run's TOML")
    parser.add_argument("--grid", default="full", help=" or ".join(GRIDS))
    parser.add_argument("--backbone", action="append", default=[], help=", ".join(BACKBONES))
    parser.add_argument("--split", help="to measure on; test, or validation for ablations")
    parser.add_argument("--alc", type=float, default=1.0, help="weight of the ALC terms")
    parser.add_argument("--tcm", type=float, default=0.1, help="weight of the TCM terms")
    parser.add_argument("--keep", action="store_true", help="keep the models of the cells")
    given = parser.parse_args()

    def grid(jobs, report):
        request = Request(
            data=given.data,
            out=given.out,
            grid=given.grid,
            seeds=given.seeds,
            backbones=given.backbone,
            split=given.split,
            overrides=given.set,
            keep=given.keep,
            weights={"alc": given.alc, "tcm": given.tcm},
        )
        if given.grid == "deployer":
            return for_deployer(request, jobs=jobs, report=report)
        return alc(plan(request), jobs=jobs, report=report)

    command.run(given, grid, ("raw/P@1", "raw/coverage@precision=0.95"))


if __name__ == "__main__":
    main()
