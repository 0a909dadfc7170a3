"""A model and updates that are whole multiples of a quantisation step: nothing is rounded."""

import numpy as np

STEP = 2.0**-15
CLIP = (2**15 - 1) * STEP
"""With 16 bits a value, one step of the codec is exactly STEP."""


def first_model():
    generator = np.random.default_rng(7)
    return [
        (generator.integers(-2000, 2000, size=shape) * STEP).astype(np.float32) for shape in ((6, 7), (9,))
    ]


def update_of(part, round_number):
    generator = np.random.default_rng(100 * round_number + part)
    return [
        (generator.integers(-3000, 3000, size=shape) * STEP).astype(np.float32) for shape in ((6, 7), (9,))
    ]


def examples_of(part):
    return 10 * (part + 1)
