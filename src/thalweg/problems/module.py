"""The mean loss of a torch module over its examples, as a function of the module's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from thalweg.core.errors import InputError
from thalweg.core.records import Certificate
from thalweg.core.vector import Any1D, Vector, as_user_sees, as_vector, eps
from thalweg.linalg import Factor
from thalweg.problems.derivatives_torch import DerivedByTorch
from thalweg.problems.examples import Examples
from thalweg.problems.function import Function, FunctionLine, FunctionPoint

#: Examples that the checks of a loss function look at.
CHECKED_EXAMPLES = 32


class ModuleProblem:
    """A torch module's mean loss over its examples.

    x holds the trainable parameters by name, tied ones once; it begins as a copy of the module's. The module is called
    in the mode it is in, with x in place of its parameters; its own parameters and buffers stay as they are until
    ``load(x)`` is called.

    Args:
        module: The module.
        loss_fn: Takes the module and a batch, and returns the mean of the batch's losses, a tensor of one number.
        data: The examples; see ``Examples``. Batches have its structure.
        chunk_size: Examples that are evaluated at a time, which bounds memory.
        name: What reports call it; the module's class when None.

    Raises:
        InputError: What was given is of the wrong kind; no parameter is trainable; the loss is no mean over examples
            (a sum, or batch norm in train mode), is random (dropout in train mode) or changes the module's buffers.

    Example:
        >>> X, y = torch.ones(20, 3), torch.ones(20, 1)
        >>> def loss(module, batch):
        ...     return torch.nn.functional.mse_loss(module(batch[0]), batch[1])
        >>> problem = ModuleProblem(torch.nn.Linear(3, 1), loss, (X, y))
        >>> problem
        ModuleProblem(Linear, 4 parameters, 20 examples)

    """

    l2 = math.nan
    provable = False
    convex: bool | None = None

    def __init__(
        self,
        module: torch.nn.Module,
        loss_fn: Callable[[torch.nn.Module, Any], torch.Tensor],
        data: Any,
        *,
        chunk_size: int = 1024,
        name: str | None = None,
    ) -> None:
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"module={module!r:.60} is no torch.nn.Module", "pass a module, made and not a class")
        if not callable(loss_fn):
            raise InputError(f"loss_fn={loss_fn!r:.60} is no function", "pass a function of (module, batch)")
        if isinstance(chunk_size, bool) or not isinstance(chunk_size, int | np.integer) or chunk_size < 1:
            raise InputError(f"chunk_size={chunk_size!r}: expected a whole number >= 1", "leave it out for 1024")
        self.module = module
        self.loss_fn = loss_fn
        self.examples = Examples(data)
        self.n = self.examples.n
        self.chunk_size = int(chunk_size)
        self.name = name or type(module).__name__
        self._called = _Called(module, loss_fn)
        self.x0 = _trainable(module)
        self.size = self.x0.size
        self._check_loss()
        edges = [*range(0, self.n, self.chunk_size), self.n]
        self._parts = [
            partial(self._share, partial(self.examples.block, start, end), (end - start) / self.n)
            for start, end in zip(edges[:-1], edges[1:], strict=True)
        ]
        self.objective = Function(self._mean_loss, self.x0, derivatives=DerivedByTorch(*self._parts), name=self.name)

    def __repr__(self) -> str:
        return f"ModuleProblem({self.name}, {self.size} parameters, {self.n} examples)"

    def start(self) -> Vector:
        """The module's parameters as they were when the problem was made."""
        return self.x0

    def at(self, x: Any1D) -> ModulePoint:
        """The point at x, laid out like the start."""
        return ModulePoint(self, x)

    def recession(self, direction: Any1D, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether the loss is known to fall forever along the direction: never."""
        return False

    def load(self, x: Any) -> None:
        """Put parameters into the module.

        Args:
            x: A solution's ``x``: tensors by name; or a vector laid out like the start.

        Raises:
            InputError: Names or shapes are not those of the trainable parameters.

        """
        named = as_user_sees(x) if isinstance(x, Vector) else x
        if not isinstance(named, Mapping):
            raise InputError(f"x is a {type(named).__name__}", "pass the x of a solution: tensors by name")
        own = {name: parameter for name, parameter in self.module.named_parameters() if parameter.requires_grad}
        shapes = [{name: tuple(np.shape(tensor)) for name, tensor in group.items()} for group in (own, named)]
        if shapes[0] != shapes[1]:
            raise InputError(f"x holds {shapes[1]}; the module's trainable parameters are {shapes[0]}", "match that")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.as_tensor(named[name]))

    def batch_gradient(self, x: Any1D, indices: np.ndarray) -> Any1D:
        """The gradient of the mean loss over the examples with these numbers, in chunks, laid out like x."""
        pieces = [indices[start : start + self.chunk_size] for start in range(0, len(indices), self.chunk_size)]
        parts = [
            partial(self._share, partial(self.examples.take, piece), len(piece) / len(indices)) for piece in pieces
        ]
        return DerivedByTorch(*parts).value_and_gradient(x)[1]

    def _share(self, batch: Callable[[], Any], share: float, named: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What a batch contributes to the mean loss of all."""
        loss = self._called.with_parameters(named, batch())
        return loss if share == 1.0 else share * loss

    def _mean_loss(self, named: Mapping[str, torch.Tensor]) -> float:
        with torch.no_grad():
            return sum(float(part(named)) for part in self._parts)

    def _check_loss(self) -> None:
        """Refuse a loss that is random, no mean over examples, or changes the module's buffers."""
        named, count = as_user_sees(self.x0), min(self.n, CHECKED_EXAMPLES)
        kept = {name: buffer.clone() for name, buffer in self.module.named_buffers()}

        def loss(start: int, end: int) -> float:
            with torch.no_grad():
                return float(self._called.with_parameters(named, self.examples.block(start, end)))

        def differ(a: float, b: float, size: float) -> bool:
            return abs(a - b) > math.sqrt(eps(self.x0)) * size

        try:
            first, again = loss(0, count), loss(0, count)
            changed = [name for name, buffer in self.module.named_buffers() if not torch.equal(buffer, kept[name])]
            if changed:
                raise InputError(
                    f"evaluating the module changes its buffer {changed[0]}, as batch norm does in train mode",
                    "call module.eval() first",
                )
            if differ(first, again, max(abs(first), abs(again))):
                raise InputError(
                    f"loss_fn gave {first:.6g}, then {again:.6g} for the same examples: it is random, as dropout is in "
                    "train mode",
                    "call module.eval() first",
                )
            if count == 1:
                return
            half = count // 2
            parts = loss(0, half), loss(half, count)
            mean = (half * parts[0] + (count - half) * parts[1]) / count
            if differ(first, mean, max(abs(first), *map(abs, parts))):
                raise InputError(
                    f"loss_fn gave {first:.6g} for {count} examples, {mean:.6g} over their halves: it is no mean",
                    "return the mean, not the sum, of losses that do not depend on the other examples of the batch",
                )
        finally:
            with torch.no_grad():
                for name, buffer in self.module.named_buffers():
                    buffer.copy_(kept[name])


class ModulePoint:
    """One setting of a module's parameters with what was computed there, each once."""

    def __init__(self, problem: ModuleProblem, x: Any1D) -> None:
        self.problem = problem
        self.x = x
        self._whole = FunctionPoint(problem.objective, x)
        self._line: FunctionLine | None = None

    @property
    def value(self) -> float:
        """The mean loss over all examples."""
        return self._whole.value

    @property
    def gradient(self) -> Any1D:
        """The gradient of the mean loss over all examples, laid out like x."""
        return self._whole.gradient

    def sample(self, indices: Any) -> Any1D:
        """The gradient of the mean loss over some examples, laid out like x.

        Args:
            indices: Numbers of the examples, shape (count,), from 0; one that is named twice counts twice.

        Raises:
            InputError: Not such numbers.

        """
        return self.problem.batch_gradient(self.x, self.problem.examples.checked(indices))

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian over all entries of x in order, shape (size, size)."""
        return self._whole.hessian

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes over the examples."""
        return self._whole.hessian_passes

    @property
    def factored(self) -> Factor | None:
        """A solver with the Hessian that always gives a descent direction; None where that is not finite."""
        return self._whole.factored

    def hvp(self, v: Any1D) -> Any1D:
        """Hessian times v."""
        return self._whole.hvp(v)

    def along(self, direction: Any1D) -> FunctionLine:
        """The mean loss along a direction; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = FunctionLine(self, direction)
        return self._line

    def certificate(
        self, direction: Any1D | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """An estimate of f - f*, as for any function.

        Args:
            direction: Close to Newton's direction, if one is known.
            refine: The factor that gave the direction, if one did.
            wanted: Not needed.

        """
        return self._whole.certificate(direction, refine)


class _Called(torch.nn.Module):
    """A loss function of a module as a module, so that parameters can be given with the call."""

    def __init__(self, module: torch.nn.Module, loss_fn: Callable[[torch.nn.Module, Any], torch.Tensor]) -> None:
        super().__init__()
        self.module = module
        self._loss_fn = (loss_fn,)  # in a tuple: a loss function that is a module stays out of the parameters

    def forward(self, batch: Any) -> torch.Tensor:
        """The loss of a batch."""
        return self._loss_fn[0](self.module, batch)

    def with_parameters(self, named: Mapping[str, torch.Tensor], batch: Any) -> torch.Tensor:
        """The loss of a batch with these in place of the module's trainable parameters; tied ones follow."""
        loss = torch.func.functional_call(self, {f"module.{name}": a for name, a in named.items()}, (batch,))
        if not isinstance(loss, torch.Tensor) or loss.shape != ():
            raise InputError(f"loss_fn gave {loss!r:.60}", "return a tensor of one number: the batch's mean loss")
        return loss


def _trainable(module: torch.nn.Module) -> Vector:
    """A copy of the trainable parameters by name."""
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if any(torch.nn.parameter.is_lazy(parameter) for parameter in named.values()):
        raise InputError("module has parameters without a shape yet", "call it once on a batch first")
    if not named:
        raise InputError(f"module={type(module).__name__} has no trainable parameter", "set requires_grad on one")
    x = as_vector(named, "module")
    assert isinstance(x, Vector)  # a mapping is
    return x
