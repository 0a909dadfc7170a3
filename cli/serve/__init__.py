"""sottovoce.cli.serve: the roles of a round as processes (extra ``http``).

:mod:`~.commands` declares them; :mod:`~.options` what they have in common, :mod:`~.roles` makes and runs
the services, :mod:`~.keys` reads the keys of a server, :mod:`~.policy` the owner's conditions, :mod:`~.desk`
puts a KGC folder behind the issuer's service.
"""

from __future__ import annotations
