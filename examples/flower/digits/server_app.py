"""What runs at the server."""

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits.model import new_model
from sottovoce.fl.flower import SealedStrategy

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """A few rounds of averaging."""
    strategy = SealedStrategy(FedAvg(), clip=1.0, max_examples=1000, min_contributors=3)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(new_model()),
        num_rounds=context.run_config["num-server-rounds"],
    )
    for number, metrics in result.evaluate_metrics_clientapp.items():
        print(f"round {number}: accuracy at the nodes {metrics['accuracy']:.3f}")
