"""``sottovoce rs``: a file as shards, any k of which give it back.

* ``commands`` declares the commands.
* ``sharding``: what ``split``, ``join``, ``verify`` and ``repair`` do.
"""
