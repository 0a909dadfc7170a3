"""A small federation for the tests of fl: an authority, seven servers, a dozen clients, a model of 50 values.

Roles are made fresh for every test (they are cheap); keys are made once a session (they are not).
``craft`` builds the packets of clients that do not follow the protocol.
"""

import secrets

import numpy as np

from sottovoce import clsc, he, rs
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    Aggregator,
    Client,
    CloseRequest,
    ContributorSet,
    Manifest,
    Member,
    MemberShare,
    Policy,
    RoundHeader,
    SignedHeader,
    Update,
    model_digest,
    revocation_digest,
    update_packet_bytes,
)
from sottovoce.fl.simulate import Authority
from sottovoce.fl.wire import associated_data, set_root, split_exactly
from sottovoce.he import kahe
from sottovoce.he._kahe_shares import challenge
from sottovoce.he._shamir import P

NOW = 1_800_000_000
EPOCH = b"2027-W02"
SET = "RLWE_128_N2048_Q50"
CLIP = 0.5
N_SERVERS = 7
N_CLIENTS = 12
AGGREGATOR_NAME = b"aggregator of hospital north"
DEVICE = "device-of-mrs-example-{}"

_SEED = np.random.default_rng(20261122)
MODEL = [
    _SEED.normal(size=(6, 7)).astype(np.float32),
    _SEED.normal(size=(7,)).astype(np.float64),
    _SEED.normal(size=()).astype(np.float32)[()].reshape(1),
]
LAYOUT = he.ModelLayout.of(MODEL)


def member_name(j):
    return f"committee member number {j}".encode()


def update_of(i, scale=0.1):
    """The update of client ``i``: the same arrays every time."""
    rng = np.random.default_rng(1000 + i)
    return [rng.normal(scale=scale, size=a.shape).astype(a.dtype) for a in MODEL]


class Federation:
    """Keys of everybody, and factories for headers and roles; nothing here changes after it is made."""

    def __init__(self, n_clients=N_CLIENTS):
        self.authority = Authority(EPOCH, NOW, valid_s=86_400)
        self.other_authority = Authority(EPOCH, NOW, valid_s=86_400)
        self.aggregator_keys = self.authority.server(AGGREGATOR_NAME)
        self.other_aggregator_keys = self.authority.server(b"another aggregator")
        self.member_keys = [self.authority.server(member_name(j)) for j in range(1, N_SERVERS + 1)]
        self.client_keys = [self.authority.pseudonym(DEVICE.format(i)) for i in range(n_clients)]
        self.stranger_key = self.other_authority.pseudonym("stranger")
        self.shard_key = rs.ShardKey.generate()
        self.pids = [key.public_key.pid for key in self.client_keys]
        self.signed = {}

    # -- what parties believe ---------------------------------------------------------------------

    def trust(self, now=NOW, revoked=()):
        store = clsc.TrustStore(self.authority.root_public_key, clock=lambda: now)
        store.add(self.authority.identity)
        store.add(self.authority.blind)
        for pid in revoked:
            store.revoke(pid)
        return store

    def policy(self, **fields):
        names = frozenset(member_name(j) for j in range(1, N_SERVERS + 1))
        usual = {
            "aggregators": frozenset({AGGREGATOR_NAME}),
            "members": names,
            "min_contributors": 3,
            "min_members": 4,
            "max_committee_epoch_s": 1 << 40,
        }
        return Policy(**{**usual, **fields})

    # -- headers ----------------------------------------------------------------------------------

    def header(self, n=5, **fields):
        """A good header of ``n`` members; ``fields`` replaces any of its fields."""
        usual = {
            "aggregator": self.aggregator_keys.public,
            "members": tuple(keys.public for keys in self.member_keys[:n]),
            "epoch": EPOCH,
            "round_number": 1,
            "sender_params": self.authority.blind.params_id,
            "committee_params": self.authority.identity.params_id,
            "revoked": revocation_digest(frozenset()),
            "layout": LAYOUT,
            "model": model_digest(MODEL),
            "clip": CLIP,
            "value_bits": 16,
            "max_examples": 0,
            "set_name": SET,
            "min_contributors": 3,
            "max_contributors": 64,
            "shard_key": self.shard_key.public_key,
            "shard_k": 3,
            "shard_n": 5,
            "deadline": NOW + 3600,
            "audit_deadline": NOW + 7200,
        }
        usual |= fields
        if "wire_bits" not in usual or "packet_bytes" not in usual:
            params = kahe.Params(
                usual["set_name"],
                n_slots=usual["layout"].size + 1,
                value_bits=usual["value_bits"],
                max_summands=usual["max_contributors"],
                n_members=len(usual["members"]),
                wire_bits=usual.get("wire_bits"),
            )
            usual.setdefault("wire_bits", params.wire_bits)
            usual.setdefault("packet_bytes", update_packet_bytes(params))
        return RoundHeader(**usual)

    def keys_of(self, header, index):
        name = header.members[index - 1].name
        return next(keys for keys in self.member_keys if keys.public.name == name)

    def sign(self, header, members=None):
        """Bytes of the header signed by the aggregator and ``members`` (all if None)."""
        keys = next(
            k for k in (self.aggregator_keys, self.other_aggregator_keys) if k.public == header.aggregator
        )
        proposal = SignedHeader.propose(header, keys)
        chosen = range(1, len(header.members) + 1) if members is None else members
        return proposal.with_members({j: header.sign(self.keys_of(header, j)) for j in chosen}).to_bytes()

    # -- roles ------------------------------------------------------------------------------------

    def client(self, i, policy=None, now=NOW, **options):
        return Client(
            self.client_keys[i],
            options.pop("trust", None) or self.trust(now),
            policy or self.policy(),
            clock=lambda: now,
            **options,
        )

    def member(self, j, policy=None, now=NOW, **options):
        return Member(
            self.member_keys[j - 1],
            options.pop("trust", None) or self.trust(now),
            policy or self.policy(),
            clock=lambda: now,
            **options,
        )

    def aggregator(self, signed_header, now=NOW, **options):
        return Aggregator(
            options.pop("keys", self.aggregator_keys),
            options.pop("shard_key", self.shard_key),
            options.pop("trust", None) or self.trust(now),
            signed_header,
            clock=options.pop("clock", lambda: now),
            **options,
        )


class _Recorded(Client):
    """A client whose encoded integers a test can add up itself."""

    def _quantize(self, header, update, examples):
        self.encoded = super()._quantize(header, update, examples)
        return self.encoded


class Sealed:
    """One signed header, and honest packets of clients 0..n-1 for it with what they encoded."""

    def __init__(self, fed, n_clients=6, n=5, **fields):
        self.fed = fed
        self.header = fed.header(n, **fields)
        self.signed = fed.sign(self.header)
        self.clients, self.packets, self.encoded = [], [], []
        self._updates = {}
        for i in range(n_clients):
            client = _Recorded(fed.client_keys[i], fed.trust(), fed.policy(), clock=lambda: NOW)
            examples = 10 * (i + 1) if self.header.max_examples else None
            self.packets.append(client.seal(self.signed, MODEL, update_of(i), examples=examples).packet)
            self.clients.append(client)
            self.encoded.append(client.encoded)
        self.pids = fed.pids[:n_clients]

    def sum_of(self, pids):
        """The plain integer sum of exactly these contributors."""
        chosen = [e for pid, e in zip(self.pids, self.encoded, strict=True) if pid in set(pids)]
        return np.sum(chosen, axis=0, dtype=np.int64)

    def aggregator(self, packets=None, **options):
        """A fresh aggregator that has received ``packets`` (the honest ones if None)."""
        aggregator = self.fed.aggregator(self.signed, **options)
        for packet in self.packets if packets is None else packets:
            aggregator.receive_packet(packet)
        aggregator.process()
        return aggregator

    def update(self, i):
        """The opened update of client ``i``, as the aggregator sees it."""
        if i not in self._updates:
            opened = clsc.unsigncrypt(
                self.packets[i],
                receiver=self.fed.aggregator_keys.decrypt,
                trust=self.fed.trust(),
                ad=associated_data(self.header.hash, "packet"),
            )
            self._updates[i] = Update.from_bytes(opened.plaintext, self.header)
        return self._updates[i]

    def request(self, j, indices=None, *, updates=None, header=None, keys=None, **changed):
        """A close request to member ``j`` about clients ``indices``, made without an aggregator."""
        if updates is None:
            updates = [self.update(i) for i in (indices if indices is not None else range(len(self.packets)))]
        return make_request(header or self.header, j, updates, keys or self.fed.aggregator_keys, **changed)

    def members(self, **options):
        return {j: self.fed.member(j, **options) for j in range(1, len(self.header.members) + 1)}


def make_request(header, j, updates, keys, *, packets=None, manifests=None, agreed=None):
    """A signed close request for any updates, sorted as it must be, with parts replaced at will."""
    updates = sorted(updates, key=lambda u: u.manifest.pid)
    entries = [(u.manifest.pid, u.manifest.digest) for u in updates]
    total = kahe.CiphertextSum(header.kahe_params, header.hash)
    for update in updates:
        total.add(update.ciphertext)
    agreed = agreed or ContributorSet(set_root(header.hash, entries), total.digest, len(entries))
    manifests = manifests if manifests is not None else [u.manifest for u in updates]
    packets = packets if packets is not None else [u.member_packets[j - 1] for u in updates]
    return CloseRequest(agreed, tuple(manifests), tuple(packets)).to_bytes(header, j, keys)


def finish(aggregator, members, signed_header, *, checkers=None, answerers=None):
    """Close, check, settle, answer, open; ``checkers`` and ``answerers`` name who takes part.

    All ``members`` check if None, and who checked answers if None: who is absent does neither.
    """
    checkers = members if checkers is None else checkers
    answerers = checkers if answerers is None else answerers
    requests = aggregator.close()
    for j in checkers:
        aggregator.receive_check(j, members[j].check(signed_header, requests[j]))
    final = aggregator.settle()
    for j in sorted(final):
        if j in answerers:
            aggregator.receive_answer(j, members[j].answer(signed_header, final[j]))
    return aggregator.open()


def craft(
    fed,
    header,
    key,
    values=None,
    *,
    garbage=False,
    bad_for=(),
    spoiled_for=(),
    share_plain=None,
    member_packet=None,
    manifest=None,
    plaintext=None,
    sender=None,
    header_hash=None,
    receiver=None,
):
    """The packet of a client that may cheat anywhere.

    Args:
        values: Integers to encrypt; zeros of weight 1 if None.
        garbage: Random bits for a ciphertext, with a manifest that fits them.
        bad_for: Members whose share is off the polynomials, though committed to: their degree test fails.
        spoiled_for: Members whose packet does not open, of which there is no proof.
        share_plain: ``f(j, MemberShare) -> bytes``: plaintext of member j's packet.
        member_packet: ``f(j, packet) -> bytes``: member j's packet itself.
        manifest: ``f(Manifest) -> Manifest``: replaces it after the shares were tied to it.
        plaintext: ``f(Update) -> bytes``: plaintext of the packet to the aggregator.
        sender: Signs the outer packet instead of ``key``.
        header_hash: The round that the outer packet names in its associated data.
        receiver: To whom it goes instead of the header's aggregator.

    Returns:
        ``(packet, update)``.
    """
    params = header.kahe_params
    pid = key.public_key.pid
    if values is None:
        values = np.zeros(params.n_slots, np.int64)
        values[-1] = 1
    one_time = kahe.OneTimeKey.generate(params, header.hash)
    ciphertext = one_time.encrypt(values)
    if garbage:
        ciphertext = kahe.Ciphertext.from_bytes(secrets.token_bytes(params.ciphertext_bytes), params)
        one_time._encrypted = ciphertext  # so that the proof is about what is sent
    proof, shares = one_time.share(pid)
    if bad_for:
        proof, shares = _off_the_polynomial(params, header.hash, pid, ciphertext.digest, shares, set(bad_for))
    original = Manifest(header.hash, pid, ciphertext.digest, proof)
    packets = []
    for j, (member, share) in enumerate(zip(header.members, shares, strict=True), 1):
        content = MemberShare(j, original.digest, share)
        plain = content.to_bytes() if share_plain is None else share_plain(j, content)
        packet = clsc.signcrypt(
            plain, sender=key, receivers=[member.decrypt], ad=associated_data(header.hash, "share", j)
        )
        if j in spoiled_for:
            packet = packet[:-1] + bytes([packet[-1] ^ 1])
        packets.append(packet if member_packet is None else member_packet(j, packet))
    update = Update(original if manifest is None else manifest(original), ciphertext, tuple(packets))
    plain = update.to_bytes() if plaintext is None else plaintext(update)
    packet = clsc.signcrypt(
        plain,
        sender=sender or key,
        receivers=[receiver or header.aggregator.decrypt],
        ad=associated_data(header_hash or header.hash, "packet"),
    )
    return packet, update


def _off_the_polynomial(params, header_hash, pid, digest, shares, bad_for):
    """Shares of ``bad_for`` moved off the polynomials, and the best proof that such a cheat can make.

    The hashes commit to what is sent and the proof is computed for the true polynomials under the new
    challenge, so that exactly the members in ``bad_for`` see a wrong degree, and nothing else is wrong.
    """
    t, N = params.threshold, params.N
    rows = [[*map(int, share._share), *map(int, share._masks)] for share in shares[:t]]
    vandermonde = [[pow(j, d, P) for d in range(t)] for j in range(1, t + 1)]
    inverse = _invert(vandermonde)
    coefficients = (np.array(inverse, dtype=object) @ np.array(rows, dtype=object)) % P
    sent = []
    for j, share in enumerate(shares, 1):
        if j in bad_for:
            moved = share._share.copy()
            moved[0] = (moved[0] + 1) % P
            share = kahe.KeyShare._of(params, j, share._salt, share._masks.copy(), moved)
        sent.append(share)
    hashes = tuple(share._commitment(header_hash, pid) for share in sent)
    gamma = challenge(params, header_hash, pid, digest, hashes).astype(object)
    checks = np.array([(gamma @ row[:N] + row[N:]) % P for row in coefficients], dtype=np.uint64)
    return kahe.DegreeProof._of(params, hashes, checks), sent


def _invert(matrix):
    """Inverse modulo p by elimination on Python integers."""
    n = len(matrix)
    rows = [[*row, *(int(i == k) for k in range(n))] for i, row in enumerate(matrix)]
    for c in range(n):
        found = next(i for i in range(c, n) if rows[i][c])
        rows[c], rows[found] = rows[found], rows[c]
        scale = pow(rows[c][c], -1, P)
        rows[c] = [x * scale % P for x in rows[c]]
        for i in range(n):
            if i != c:
                rows[i] = [(x - rows[i][c] * y) % P for x, y in zip(rows[i], rows[c], strict=True)]
    return [row[n:] for row in rows]


def lying_answer(fed, header, index, answer_bytes, change):
    """Member ``index``'s answer, opened with the aggregator's key, changed and sealed again by the member."""
    ad = associated_data(header.hash, "answer", index)
    opened = clsc.unsigncrypt(answer_bytes, receiver=fed.aggregator_keys.decrypt, trust=fed.trust(), ad=ad)
    return clsc.signcrypt(
        change(opened.plaintext),
        sender=fed.keys_of(header, index).sign,
        receivers=[header.aggregator.decrypt],
        ad=ad,
    )


def wrong_sum(fed, sealed, j, answer, count=None):
    """The answer with another share sum (or another count), the member's signature on the set as it was."""

    def change(plain):
        fields = split_exactly(plain, 5)
        data = bytearray(fields[4])
        if count is not None:
            data[:4] = count.to_bytes(4, "little")
        else:
            data[4:8] = ((int.from_bytes(data[4:8], "little") + 1) % (2**31 - 1)).to_bytes(4, "little")
        fields[4] = bytes(data)
        return enc(*fields)

    return lying_answer(fed, sealed.header, j, answer, change)


def from_member(fed, header, index, role, plain, *, keys=None):
    """A message of member ``index`` with any plaintext."""
    return clsc.signcrypt(
        plain,
        sender=(keys or fed.keys_of(header, index)).sign,
        receivers=[header.aggregator.decrypt],
        ad=associated_data(header.hash, role, index),
    )


def snapshot(aggregator):
    """Everything by which an aggregator's state can be told."""
    return (
        aggregator.state,
        aggregator.accepted,
        aggregator._collection.sum.digest,
        dict(aggregator._collection._packet_ids),
        aggregator._settlement.agreed,
        dict(aggregator._settlement._complaints),
        set(aggregator._settlement._answers),
        tuple(a.pid for a in aggregator._store.accepted(aggregator.header.hash)),
    )
