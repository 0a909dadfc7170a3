"""What all packages share: errors, encoding, limits, and the compiled kernels.

Not a public package: names here may change between any two releases.  The exceptions are public
through every package that raises them.
"""
