"""sottovoce: devices learn together and nobody hears what a single one says.

Four packages, each usable alone:

* :mod:`sottovoce.clsc` -- anonymous certificateless signcryption: send to a name, signed under a
  pseudonym that its own issuer cannot recognise.
* :mod:`sottovoce.he` -- additively homomorphic encryption of whole vectors, numpy in and numpy out.
* :mod:`sottovoce.rs` -- Reed-Solomon erasure shards, and dispersal of a packet over several relays.
* :mod:`sottovoce.fl` -- one round of private federated aggregation, made of the three.

They never import each other sideways: ``cli -> fl -> {clsc, he, rs} -> _ext``.  The command
``sottovoce demo`` (extra ``demo``) runs a training through the whole stack.

Young and not audited; see README and docs/threat-model.md for what is promised and what is not.
"""

import logging

__version__ = "0.1.0"

# Silent until the application says where logs go; without this, warnings would end up on its stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
