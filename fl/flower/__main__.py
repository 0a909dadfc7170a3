"""``python -m sottovoce.fl.flower OUT``: folders with keys for a trial."""

import argparse
from pathlib import Path

from .provisioning import provision


def main() -> None:
    """Command line of :func:`provision`."""
    parser = argparse.ArgumentParser(
        description="Folders with keys for a trial of sealed averaging in Flower."
    )
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--nodes", type=int, default=5, help="nodes (5)")
    parser.add_argument("--members", type=int, default=4, help="of them in the committee (4)")
    parser.add_argument("--min-contributors", type=int, default=8, help="floor of every node (8)")
    parser.add_argument("--clear-metric", action="append", default=[], help="metric that may leave in clear")
    args = parser.parse_args()
    provision(
        args.out,
        n_nodes=args.nodes,
        n_members=args.members,
        min_contributors=args.min_contributors,
        clear_metrics=args.clear_metric,
    )


if __name__ == "__main__":
    main()
