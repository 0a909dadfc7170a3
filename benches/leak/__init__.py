"""Looks for secrets in running times; run by ``python benches/timing_leak.py``.

* ``statistics`` -- Welch's t over cropped samples, second order, the smallest detectable effect.
* ``sampling`` -- two classes of secrets by turns at random, and the verdict of two repetitions.
* ``operations`` -- what is tested, and the controls that must be found.
"""
