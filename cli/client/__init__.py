"""sottovoce.cli.client: a device's commands: keys from an issuer's service, an update to a round, its result.

:mod:`~.commands` declares them, :mod:`~.sending` and :mod:`~.asking` do the work.
"""

from __future__ import annotations
