"""Batches of examples, epoch after epoch: with replacement, reshuffled, shuffled once, or in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError

#: What ``sampling=`` may be.
SAMPLINGS = ("reshuffle", "replacement", "shuffle-once", "sequential")


@dataclass(frozen=True)
class Sampler:
    """Which examples make which batch.

    The batches of an epoch follow from the seed and the epoch's number alone, so that a run goes on from any epoch
    without a saved generator; the stream of epoch k is the k-th child that ``thalweg.core.random.spawn`` gives.

    Args:
        n: Number of examples, at least 1.
        batch_size: B, at least 1; n where it is larger.
        sampling: ``"reshuffle"``, a new order every epoch; ``"replacement"``, independent draws; ``"shuffle-once"``,
            one random order for all epochs; ``"sequential"``, the order of the rows.
        seed: A whole number >= 0.

    The last batch of an epoch has n mod B examples where B does not divide n; nothing is dropped.

    Raises:
        InputError: A number out of range, or an unknown way of sampling.

    Example:
        >>> sampler = Sampler(5, batch_size=2, sampling="sequential")
        >>> [indices.tolist() for indices in sampler.batches(0)]
        [[0, 1], [2, 3], [4]]

    """

    n: int
    batch_size: int = 1
    sampling: str = "reshuffle"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if self.sampling not in SAMPLINGS:
            raise InputError(
                f"sampling={self.sampling!r} is not known", f"use one of {', '.join(map(repr, SAMPLINGS))}"
            )
        object.__setattr__(self, "batch_size", min(self.batch_size, self.n))

    @property
    def updates(self) -> int:
        """Batches an epoch."""
        return -(-self.n // self.batch_size)

    def order(self, epoch: int, count: int | None = None) -> np.ndarray:
        """The examples of an epoch, in the order in which they are used.

        Args:
            epoch: Its number, from 0.
            count: How many; n when None. Beyond n, one shuffle follows another.

        Returns:
            Row indices, shape (count,).

        Raises:
            InputError: A number out of range.

        """
        epoch = _whole("epoch", epoch, 0)
        count = self.n if count is None else _whole("count", count, 1)
        if self.sampling == "sequential":
            return np.arange(count) % self.n
        stream = 0 if self.sampling == "shuffle-once" else epoch
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream,)))
        if self.sampling == "replacement":
            return rng.integers(self.n, size=count)
        if self.sampling == "shuffle-once":
            return np.resize(rng.permutation(self.n), count)
        shuffles = [rng.permutation(self.n) for _ in range(-(-count // self.n))]
        return (shuffles[0] if len(shuffles) == 1 else np.concatenate(shuffles))[:count]

    def batches(self, epoch: int, count: int | None = None) -> Iterator[np.ndarray]:
        """The batches of an epoch.

        Args:
            epoch: Its number, from 0.
            count: Examples to use; n when None.

        Yields:
            Row indices, shape (batch_size,); fewer in the last batch where the batch size does not divide the count.

        """
        order = self.order(epoch, count)
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]


def _whole(name: str, value: int, least: int) -> int:
    number = checked_number(name, value, f"give a whole number >= {least}")
    if number != int(number) or number < least:
        raise InputError(f"{name}={value!r}: expected a whole number >= {least}", f"pass {name}={least}")
    return int(number)
