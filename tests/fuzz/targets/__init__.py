"""Every decoder of the package, by name."""

from . import cli, clsc_issuing, clsc_records, clsc_sealing, ext, fl, he, rs

TARGETS = {
    target.name: target
    for module in (ext, clsc_records, clsc_issuing, clsc_sealing, he, rs, fl, cli)
    for target in module.TARGETS
}
