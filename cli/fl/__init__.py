"""Rounds from the outside: ``sottovoce fl audit`` and ``fl judge``.

Declared in :mod:`.commands`; the work is in :mod:`.auditing`.
"""
