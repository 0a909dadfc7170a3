"""Flower's own SecAgg+ on the same vectors: what its users run, client and server each alone.

Both halves are Flower's code (``secaggplus_mod``, ``SecAggPlusWorkflow``) with its own settings; between
them stands a grid that hands messages over in memory.  A protocol of four rounds cannot be timed on one
side only while it runs, so it is played once, and each side is then run again on the messages that the
other sent and, the client, on the state that it had before each of them.  Left out are transport,
serialisation of messages, training and the averaging strategy.
"""

from __future__ import annotations

import copy
import functools
import logging
import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

from .fl_world import MAX_EXAMPLES, examples, vectors
from .measurement import Operation, Peer

_LACKS: Final = (
    "SecAgg+ draws every mask from numpy's Mersenne Twister with a seed of 32 bits, sends how many examples "
    "each client has in clear, authenticates nobody, and needs every client online for four messages."
)
_INSTALL: Final = "pip install 'flwr>=1.41,!=1.42.0'"


@dataclass
class _Recorded:
    """One round of ``n`` clients: what was sent, and what one client knew before each message."""

    replies: list[list[Any]] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    up_bytes: int = 0


@functools.cache
def _flower() -> Any:
    """Flower's names; ImportError where it is not installed."""
    # Nothing of this goes out.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    import flwr.common
    from flwr.client.mod.secure_aggregation import secaggplus_mod
    from flwr.common.secure_aggregation import secaggplus_constants as constants
    from flwr.compat.common import recorddict_compat
    from flwr.server import LegacyContext
    from flwr.server.workflow import SecAggPlusWorkflow, constant
    from flwr.supercore.task_identity import TaskIdentity

    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # messages want to know
    return SimpleNamespace(
        common=flwr.common,
        secaggplus_mod=secaggplus_mod,
        compat=recorddict_compat,
        LegacyContext=LegacyContext,
        SecAggPlusWorkflow=SecAggPlusWorkflow,
        RECORD_KEY_CONFIGS=constants.RECORD_KEY_CONFIGS,
        RECORD_KEY_STATE=constants.RECORD_KEY_STATE,
        MAIN_CONFIGS_RECORD=constant.MAIN_CONFIGS_RECORD,
        MAIN_PARAMS_RECORD=constant.MAIN_PARAMS_RECORD,
        WorkflowKey=constant.Key,
    )


class _Strategy:
    """Samples everybody; what the average is for is not measured."""

    def __init__(self, n_clients: int) -> None:
        self.n_clients = n_clients

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[tuple[Any, Any]]:
        fit = _flower().common.FitIns(parameters, {})
        return [(SimpleNamespace(node_id=i + 1), fit) for i in range(self.n_clients)]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> tuple[Any, dict[str, Any]]:
        if failures or len(results) != self.n_clients:
            raise RuntimeError("SecAgg+ lost a client")
        self.mean = results[0][1].parameters
        return self.mean, {}


class _Clients:
    def num_available(self) -> int:
        return 0


class _Grid:
    """Replies of the clients' own code, recorded; or the recorded ones again."""

    def __init__(self, play: Any) -> None:
        self._play = play
        self.stage = 0

    def send_and_receive(self, messages: list[Any], *, timeout: float | None = None) -> list[Any]:
        replies: list[Any] = self._play(self.stage, messages)
        self.stage += 1
        return replies


def _fit_content(n_parameters: int, n_clients: int, index: int) -> Any:
    flower = _flower()
    parameters = flower.common.ndarrays_to_parameters(vectors(n_parameters, n_clients)[index])
    ok = flower.common.Status(flower.common.Code.OK, "")
    result = flower.common.FitRes(ok, parameters, examples(index), {})
    return flower.compat.fitres_to_recorddict(result, keep_input=True)


def _run_server(n_parameters: int, n_clients: int, play: Any) -> Any:
    flower = _flower()
    common = flower.common
    parameters = common.ndarrays_to_parameters([0 * vectors(n_parameters, n_clients)[0][0]])
    state = common.RecordDict(
        {
            flower.MAIN_CONFIGS_RECORD: common.ConfigRecord({flower.WorkflowKey.CURRENT_ROUND: 1}),
            flower.MAIN_PARAMS_RECORD: flower.compat.parameters_to_arrayrecord(parameters, True),
        }
    )
    context = common.Context(run_id=1, node_id=0, node_config={}, state=state, run_config={})
    strategy = _Strategy(n_clients)
    legacy = flower.LegacyContext(context, strategy=strategy, client_manager=_Clients())
    workflow = flower.SecAggPlusWorkflow(
        num_shares=1.0, reconstruction_threshold=0.8, max_weight=float(MAX_EXAMPLES), clipping_range=1.0
    )
    workflow(_Grid(play), legacy)
    return common.parameters_to_ndarrays(strategy.mean)


@functools.cache
def recorded(n_parameters: int, n_clients: int) -> _Recorded:
    """One round, played; raises RuntimeError unless the mean is right."""
    flower = _flower()
    common = flower.common
    contexts = {
        i + 1: common.Context(
            run_id=1, node_id=i + 1, node_config={}, state=common.RecordDict(), run_config={}
        )
        for i in range(n_clients)
    }
    record = _Recorded()

    def play(stage: int, messages: list[Any]) -> list[Any]:
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            sent, state = message.content.config_records[flower.RECORD_KEY_CONFIGS], contexts[node].state
            if node == 1:
                record.configs.append(copy.deepcopy(dict(sent)))
                known = state.config_records.get(flower.RECORD_KEY_STATE, {})
                record.states.append(copy.deepcopy(dict(known)))
            content = common.RecordDict({flower.RECORD_KEY_CONFIGS: common.ConfigRecord(dict(sent))})
            own = common.Message(content, dst_node_id=node, message_type=common.MessageType.TRAIN)
            trained = _fit_content(n_parameters, n_clients, node - 1)
            reply = flower.secaggplus_mod(
                own, contexts[node], lambda m, c, t=trained: common.Message(t, reply_to=m)
            )
            if node == 1:
                record.up_bytes += sum(
                    len(part)
                    for value in reply.content.config_records[flower.RECORD_KEY_CONFIGS].values()
                    for part in (value if isinstance(value, list) else [value])
                    if isinstance(part, bytes)
                )
            replies.append(reply)
        record.replies.append(replies)
        return replies

    mean = _run_server(n_parameters, n_clients, play)
    updates = vectors(n_parameters, n_clients)
    weights = [examples(i) for i in range(n_clients)]
    right = sum(w * u[0] for w, u in zip(weights, updates, strict=True)) / sum(weights)
    if abs(mean[0] - right).max() > 1e-3:
        raise RuntimeError("SecAgg+ gave a wrong mean")
    return record


def client(n_parameters: int, n_clients: int) -> Operation:
    """One client's four stages."""
    flower = _flower()
    common = flower.common
    record = recorded(n_parameters, n_clients)

    def fresh() -> tuple[list[tuple[Any, Any]], Any]:
        stages = []
        for config, state in zip(record.configs, record.states, strict=True):
            content = common.RecordDict(
                {flower.RECORD_KEY_CONFIGS: common.ConfigRecord(copy.deepcopy(config))}
            )
            message = common.Message(content, dst_node_id=1, message_type=common.MessageType.TRAIN)
            known = common.RecordDict({flower.RECORD_KEY_STATE: common.ConfigRecord(copy.deepcopy(state))})
            stages.append(
                (message, common.Context(run_id=1, node_id=1, node_config={}, state=known, run_config={}))
            )
        return stages, _fit_content(n_parameters, n_clients, 0)

    def call(stages: list[tuple[Any, Any]], trained: Any) -> None:
        for message, context in stages:
            flower.secaggplus_mod(message, context, lambda m, c: common.Message(trained, reply_to=m))

    return Operation(call, fresh, n_bytes=record.up_bytes)


def server(n_parameters: int, n_clients: int) -> Operation:
    """The server's four stages."""
    record = recorded(n_parameters, n_clients)

    def call() -> None:
        _run_server(n_parameters, n_clients, lambda stage, messages: record.replies[stage])

    return Operation(call)


def peer(prepare: Any, aim: float | None) -> Peer:
    """SecAgg+ as a peer; ``aim``: how many times faster we should be."""
    levels = ("avx512", "avx2", "portable", "neon")
    return Peer(
        "flwr",
        prepare,
        note="SecAgg+",
        lacks=_LACKS,
        aims={} if aim is None else dict.fromkeys(levels[:2], aim),
        install=_INSTALL,
    )
