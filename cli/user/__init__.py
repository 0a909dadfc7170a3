"""The commands of a user: keys, sealed files, signatures, evidence, and whom to trust.

:mod:`~.commands` and :mod:`~.trust_commands` declare them; each of the other modules does the work of a
few: :mod:`~.keygen`, :mod:`~.sealing` (``seal``, ``open``), :mod:`~.signing` (``sign``, ``verify``),
:mod:`~.judging` (``evidence``, ``judge``), :mod:`~.trusting` (``trust ...``).  :mod:`~.own` keeps the
user's own keys, :mod:`~.people` says who somebody is.
"""
