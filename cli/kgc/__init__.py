"""sottovoce.cli.kgc: the issuer's commands, over one folder.

:mod:`~.commands` declares them; each of the other modules does the work of a few: :mod:`~.founding` init,
join, restore; :mod:`~.epochs` epoch; :mod:`~.people` enrol; :mod:`~.admitting` admit and issue;
:mod:`~.revoking` revoke; :mod:`~.tracing` trace and check-trace; :mod:`~.showing` show.  :mod:`~.folder`
knows the folder.

What leaves the issuer twice must be the same twice, whatever crashed in between, so every command records
before it publishes, and may be run again.
"""

from __future__ import annotations
