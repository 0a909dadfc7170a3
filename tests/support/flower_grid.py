"""A grid of nodes that run a real ClientApp in this process, with real messages; some do not answer."""

from collections import Counter, defaultdict

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid


def copy_of(message):
    """The same message anew, as from a network: what a mod changes in one stays there."""
    copy = Message(RecordDict(dict(message.content.items())), reply_to=message)
    copy.metadata.__dict__.update(message.metadata.__dict__)
    return copy


class LoopGrid(Grid):
    """Nodes 100, 101, ...; ``dead`` ones never reply, ``lost`` is a set of (message type, node).

    ``late``: (message type, node) -> how often replies are looked for before this one is there.
    """

    def __init__(self, apps, keys):
        self.apps = {100 + i: app for i, app in enumerate(apps)}
        self.keys = keys
        self.parts = {node: node - 100 for node in self.apps}
        self.states = defaultdict(RecordDict)
        self.dead, self.lost, self.late = set(), set(), {}
        self.seen = []  # every message that a node got, and every reply: what the network saw
        self.asked = Counter()
        self._replies = {}

    def context(self, node):
        part = self.parts[node]
        config = {"partition-id": part, "sottovoce": str(self.keys / f"node-{part}")}
        return Context(1, node, config, self.states[node], {})

    def restart(self, node, new):
        """The node is started again: another number, nothing in memory, the same folder."""
        self.apps[new], self.parts[new] = self.apps.pop(node), self.parts[node]

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.apps)

    def push_messages(self, messages):
        ids = []
        for message in messages:
            node, kind = message.metadata.dst_node_id, message.metadata.message_type
            message.metadata.__dict__["_message_id"] = message.object_id
            ids.append(message.object_id)
            self.asked[kind] += 1
            self.seen.append(message)
            if node not in self.apps or node in self.dead or (kind, node) in self.lost:
                continue
            reply = self.apps[node](copy_of(message), self.context(node))
            self.seen.append(reply)
            self._replies[message.object_id] = reply, self.late.get((kind, node), 0)
        return ids

    def pull_messages(self, message_ids):
        there = []
        for i in list(message_ids):
            if i in self._replies:
                reply, waits = self._replies.pop(i)
                if waits:
                    self._replies[i] = reply, waits - 1
                else:
                    there.append(reply)
        return there

    def send_and_receive(self, messages, *, timeout=None):
        return self.pull_messages(self.push_messages(messages))


def text_of(messages):
    """Everything in messages, as bytes to search through."""
    parts = []
    for message in messages:
        if message.has_error():
            parts.append(repr(message.error).encode())
            continue
        for name, record in message.content.items():
            parts.append(name.encode())
            for key, value in record.items():
                parts.append(key.encode())
                parts.append(
                    value.data if hasattr(value, "data") and hasattr(value, "stype") else repr(value).encode()
                )
    return b"\n".join(parts)


def client_app(*mods, train, evaluate=None):
    """An app around two functions, with ``install`` done."""
    from sottovoce.fl.flower import install, seal_mod

    app = install(ClientApp(mods=[seal_mod, *mods]))
    app.train()(train)
    if evaluate is not None:
        app.evaluate()(evaluate)
    return app
