"""The commands of a user: keys, sealed files, signatures, evidence, and whom to trust.

:mod:`~.commands` declares them; each of the other modules does the work of a few: :mod:`~.enrolment`
(``keygen``), :mod:`~.sealing` (``seal``, ``open``), :mod:`~.signing` (``sign``, ``verify``),
:mod:`~.judging` (``evidence``, ``judge``), :mod:`~.trusting` (``trust ...``).  :mod:`~.own` keeps the
user's own keys, :mod:`~.people` says who somebody is.
"""
