import json
import os
from pathlib import Path

from flwr.app import ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

from averaged.known import CLIP, first_model
from sottovoce.fl.flower import SealedStrategy

app = ServerApp()


@app.main()
def main(grid, context):
    strategy = SealedStrategy(
        FedAvg(min_available_nodes=5, fraction_evaluate=context.run_config["evaluated"]),
        clip=CLIP,
        max_examples=context.run_config["max-examples"],
        min_contributors=3,
        # What a dead node costs; the timeouts are for a machine that does other things as well.
        straggler_s=20.0,
        grace_s=20.0,
        train_timeout_s=180.0,
        member_timeout_s=180.0,
        first_timeout_s=180.0,
    )
    try:
        result = strategy.start(
            grid=grid, initial_arrays=ArrayRecord(first_model()), num_rounds=context.run_config["rounds"]
        )
    except Exception as error:
        write({"error": repr(error)})
        raise
    write(
        {
            "model": [array.tolist() for array in result.arrays.to_numpy_ndarrays()],
            "contributors": [r.result.agreed.count for r in strategy.rounds],
            "signatures": [sorted(r.result.member_signatures) for r in strategy.rounds],
            "refused": [r.refused for r in strategy.rounds],
            "evaluated": {n: dict(m) for n, m in result.evaluate_metrics_clientapp.items()},
        }
    )


def write(report):
    out = Path(os.environ["AVERAGED_OUT"])
    out.with_suffix(".part").write_text(json.dumps(report))
    out.with_suffix(".part").rename(out)
