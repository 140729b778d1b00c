"""CROLoss against softmax, triplet and BPR, tuned alike; and recall against alpha.

    python benchmarks/croloss.py --data online-retail --out runs/croloss
    python benchmarks/croloss.py --data online-retail --out runs/alpha --grid curve
    python benchmarks/croloss.py --data online-retail --out runs/paper --grid paper

The last one is the paper's own set-up: ids alone and one temperature for all losses; beside it
softmax and the Lambda method each at its best temperature, and temperatures that are learned.

Cells that were measured before are not run again. Writes table.md, table.json and, but for the
tuned grid, figure.png.
"""

from grids import command
from grids.croloss import Request, croloss
from grids.croloss_paper import BLOCKS, PaperRequest, croloss_paper
from grids.croloss_trials import LOSSES
from grids.paper_training import Setup
from thresher.losses.croloss import KERNELS


def main() -> None:
    """Reads the arguments and runs the grid."""
    parser = command.parser(__doc__)
    parser.add_argument("--data", required=True, help="online-retail; a folder; or a run's TOML")
    parser.add_argument("--grid", default="tuned", help="tuned, curve or paper")
    parser.add_argument("--loss", action="append", default=[], help=", ".join(LOSSES))
    parser.add_argument("--trials", type=int, default=8, help="of each loss, on the first seed")
    parser.add_argument("--at", type=int, nargs="+", default=[50, 500], help="N of recall@N")
    parser.add_argument("--kernel", action="append", default=[], help=", ".join(KERNELS))
    parser.add_argument("--temperature", type=float, default=0.1, help="of curve")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="of curve")
    parser.add_argument(
        "--block", action="append", default=[], help=f"of paper: {', '.join(BLOCKS)}"
    )
    parser.add_argument("--b", type=float, nargs="+", default=[2, 3, 5, 7, 10, 15], help="of paper")
    parser.add_argument("--steps", type=int, default=4000, help="of paper, at most")
    parser.add_argument("--first-target", type=int, default=4, help="of paper: events before it")
    given = parser.parse_args()

    def paper(jobs, report):
        request = PaperRequest(
            data=given.data,
            out=given.out,
            seeds=given.seeds,
            blocks=given.block or BLOCKS,
            bs=given.b,
            overrides=given.set,
            setup=Setup(steps=given.steps, first_target=given.first_target),
        )
        return croloss_paper(request, jobs=jobs, report=report)

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

    command.run(
        given,
        paper if given.grid == "paper" else grid,
        ("validation/recall@50", "validation/recall@500"),
    )


if __name__ == "__main__":
    main()
