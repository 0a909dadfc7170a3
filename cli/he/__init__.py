"""``sottovoce he``: vectors under homomorphic encryption, as files.

* ``commands`` declares the commands.
* ``arrays``: ``.npy`` and ``.npz`` files as lists of arrays with names, and back.
* ``container``: the file of an encrypted model, and that of a public key.
* ``keys``, ``vectors``, ``sizes``: what the commands do.
"""
