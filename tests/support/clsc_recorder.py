"""What reaches the back end, whose time follows the scalar: record it, and hold it against the secrets."""

from sottovoce.clsc import comb, group, hashes, signature

R = group.ORDER


class Record:
    """Every scalar that the back end multiplies by, and every secret that was drawn or derived.

    ``steady``: scalars of multiplications that always make the same operations.
    """

    def __init__(self, monkeypatch):
        self.seen = []
        self.steady = []
        self.secrets = set()
        self.challenges = set()
        backend = group._backend
        for name in ("g1_mul_vartime", "g2_mul_vartime"):
            monkeypatch.setattr(backend, name, self._mul(getattr(backend, name)))
        for name in ("g1_msm_vartime", "g2_msm_vartime"):
            monkeypatch.setattr(backend, name, self._msm(getattr(backend, name)))
        for holder, name in ((group, "_mul_window"), (comb.Comb, "mul")):
            monkeypatch.setattr(holder, name, self._steady(getattr(holder, name)))
        monkeypatch.setattr(hashes, "hkdf", self._hkdf(hashes.hkdf))
        monkeypatch.setattr(group, "random_scalar", self._draw(group.random_scalar))
        monkeypatch.setattr(signature, "_challenge", self._challenge(signature._challenge))

    def _mul(self, real):
        return lambda point, k: self.seen.append(k) or real(point, k)

    def _steady(self, real):
        return lambda base, k: self.steady.append(k) or real(base, k)

    def _msm(self, real):
        return lambda points, scalars: self.seen.extend(scalars) or real(points, scalars)

    def _hkdf(self, real):
        def spy(*args):
            out = real(*args)
            for i in range(0, len(out) - 47, 48):  # 48 bytes a scalar: k, rho, u1, u2
                self.secrets.add(int.from_bytes(out[i : i + 48], "big") % R)
            return out

        return spy

    def _draw(self, real):
        def spy(*source):
            k = real(*source)
            if source:  # x, b, e, s; without a source it only blinds
                self.secrets.add(k)
            return k

        return spy

    def _challenge(self, real):
        def spy(*args):
            c = real(*args)
            self.challenges.add(c)
            return c

        return spy

    def knows(self, base, multiple):
        """Whether a recorded secret is the logarithm of these 48 or 96 bytes: the spies really see it."""
        return any(base.mul(k).to_compressed_bytes() == multiple for k in self.secrets)

    def check(self, *multiplied):
        """``multiplied``: secrets for which a multiplication must have been seen at all."""
        assert self.secrets
        assert set(multiplied) <= set(self.steady)
        values = {pow(k, -1, R) for k in self.secrets} | self.secrets
        for k in self.secrets:
            values |= {(k + c) % R for c in self.challenges}
        both_signs = {v for k in values for v in (k, -k % R)}
        assert not both_signs & set(self.seen)


class Generator:
    """``P1`` or ``P2`` behind the method of a table."""

    def __init__(self, mul):
        self.mul = mul


G1, G2 = Generator(comb.p1_mul), Generator(comb.p2_mul)
