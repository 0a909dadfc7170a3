"""The data: scikit-learn's bundled digits, and its unequal, non-identical shares.

1,797 images of handwritten digits, 8 x 8 pixels of 0..16, ten classes (UCI "Optical Recognition of
Handwritten Digits", test part).  They come inside scikit-learn, so the demo needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

N_CLASSES: Final = 10
_PIXEL_MAX: Final = 16.0
_TEST_FRACTION: Final = 0.2

LEAST_EXAMPLES: Final = 10
"""Examples that every client has at least: a device with next to nothing would not take part."""


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Images and labels, split into a training and a test part.

    Attributes:
        train_x: Shape ``(n, 64)``, float64, pixels in 0..1.
        train_y: Shape ``(n,)``, int64, 0..9.
        test_x: Shape ``(m, 64)``.
        test_y: Shape ``(m,)``.
    """

    train_x: NDArray[np.float64]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float64]
    test_y: NDArray[np.int64]


def load(seed: int) -> Digits:
    """Load the digits and split them, a fifth of every class for testing.

    Args:
        seed: Decides the split.

    Returns:
        About 1,440 training and 355 test images, each in exactly one part.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    pixels = np.asarray(x, dtype=np.float64) / _PIXEL_MAX
    labels = np.asarray(y, dtype=np.int64)
    rng = np.random.default_rng([seed, 1])
    test = np.zeros(labels.shape, dtype=bool)
    for label in range(N_CLASSES):
        members = rng.permutation(np.flatnonzero(labels == label))
        test[members[: round(_TEST_FRACTION * members.size)]] = True
    return Digits(pixels[~test], labels[~test], pixels[test], labels[test])


def partition(
    labels: NDArray[np.int64], n_clients: int, seed: int, *, skew: float = 0.5, least: int = LEAST_EXAMPLES
) -> list[NDArray[np.int64]]:
    """Deal the examples to clients, unequally in number and in kind.

    A client draws its general size from a log-normal law and, for each class, its share of that
    class from a Dirichlet law around the sizes (Hsu, Qi, Brown 2019): most clients then have many
    examples of a few digits and none of others.

    Args:
        labels: Shape ``(n,)``, the class of every example.
        n_clients: How many shares; ``n_clients * least`` examples must be there.
        seed: Decides the deal.
        skew: Concentration of the Dirichlet law; smaller is less alike, 0.5 is strongly skewed.
        least: Examples that every client gets at least; taken from whoever has the most.

    Returns:
        Per client, the ascending indices of its examples: every index in exactly one share.

    Raises:
        ValueError: There are too few examples for so many clients.
    """
    if n_clients * least > labels.size:
        raise ValueError(f"{labels.size} examples do not give {n_clients} clients {least} each")
    rng = np.random.default_rng([seed, 2])
    sizes = rng.lognormal(sigma=0.6, size=n_clients)
    sizes /= sizes.mean()
    shares: list[list[int]] = [[] for _ in range(n_clients)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.cumsum(rng.dirichlet(skew * sizes))[:-1]
        for share, part in zip(
            shares, np.split(members, np.round(cuts * members.size).astype(int)), strict=True
        ):
            share.extend(part.tolist())
    while min(map(len, shares)) < least:
        rich, poor = max(shares, key=len), min(shares, key=len)
        poor.append(rich.pop(int(rng.integers(len(rich)))))
    return [np.sort(np.array(share, dtype=np.int64)) for share in shares]
