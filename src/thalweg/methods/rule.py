"""What an update rule is: how a gradient moves x, leaf by leaf. Sampling, schedules and averaging are put around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from thalweg.core.vector import Any1D

Slots = dict[str, Any]


class UpdateRule(ABC):
    """Immutable settings of an update x <- x + something of the gradients so far.

    Attributes:
        name: What reports call the method that is built on it.
        reference: Paper or book.

    """

    name: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def init(self, x: Any1D) -> Slots:
        """What is carried along, before the first gradient: vectors laid out like x, and numbers."""

    @abstractmethod
    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """The next x and slots; neither x nor the slots given are changed.

        Args:
            x: Where the gradient was taken.
            gradient: At x, of the whole objective or of a batch.
            slots: As the last update left them.
            step_size: alpha, as the schedule has it now.
            count: Number of this update, from 1.

        """
