"""CROLoss against softmax, triplet and BPR, tuned alike; and recall against alpha.

    python benchmarks/croloss.py --data online-retail --out runs/croloss
    python benchmarks/croloss.py --data online-retail --out runs/alpha --grid curve

Cells that were measured before are not run again. Writes table.md, table.json and, of the curve,
figure.png.
"""

from grids import command
from grids.croloss import Request, croloss
from grids.croloss_trials import LOSSES
from thresher.losses.croloss import KERNELS


def main() -> None:
    """Reads the arguments and runs the grid."""
    parser = command.parser(__doc__)
    parser.add_argument("--data", required=True, help="online-retail; a folder; or a run's TOML")
    parser.add_argument("--grid", default="tuned", help="tuned or curve")
    parser.add_argument("--loss", action="append", default=[], help=", ".join(LOSSES))
    parser.add_argument("--trials", type=int, default=8, help="of each loss, on the first seed")
    parser.add_argument("--at", type=int, nargs="+", default=[50, 500], help="N of recall@N")
    parser.add_argument("--kernel", action="append", default=[], help=", ".join(KERNELS))
    parser.add_argument("--temperature", type=float, default=0.1, help="of curve")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="of curve")
    given = parser.parse_args()

    def grid(jobs, report):
        request = Request(
            data=given.data,
            out=given.out,
            grid=given.grid,
            losses=given.loss,
            trials=given.trials,
            at=given.at,
            seeds=given.seeds,
            kernels=given.kernel,
            temperature=given.temperature,
            learning_rate=given.learning_rate,
            overrides=given.set,
        )
        return croloss(request, jobs=jobs, report=report)

    command.run(given, grid, ("validation/recall@50", "validation/recall@500"))


if __name__ == "__main__":
    main()
