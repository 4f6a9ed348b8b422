"""What a run needs to go on later, as plain numbers and arrays: the format of saved runs."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from thalweg.core.errors import InputError
from thalweg.core.records import Certificate, CertificateKind, Trace
from thalweg.core.tree import Tree
from thalweg.core.vector import Any1D, Vector, eps
from thalweg.methods.method import Method, State

#: Version of the format. A reader refuses a version that it does not know.
FORMAT = 2

REMEDY = "start afresh: its file was changed"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Kept:
    """A run as it stood after a step.

    Attributes:
        method: The method, for comparison with the one that is to go on.
        state: Its state.
        trace: The rows so far.
        best: The best point so far with its certificate.
        counters: What the driver counts: plain numbers and lists of them.

    """

    method: Method
    state: State
    trace: Trace
    best: tuple[Any, Certificate]
    counters: dict[str, Any]

    def pack(self) -> tuple[dict[str, Any], Arrays]:
        """The run as a header that JSON can hold and arrays that the header names."""
        arrays: Arrays = {}
        point, certificate = self.best
        header = {
            "format": FORMAT,
            "method": describe(self.method),
            "point": _packed(self.state.point, arrays),
            "direction": _packed(self.state.direction, arrays),
            "decrement": self.state.decrement,
            "step_size": self.state.step_size,
            "memory": _packed(self.state.memory, arrays),
            "solver": self.state.refine is not None,
            "best": _packed(point, arrays),
            "certificate": [certificate.gap, certificate.kind.value, certificate.how, certificate.rounding],
            "trace": _packed({name: np.asarray(column) for name, column in self.trace.columns.items()}, arrays),
            "counters": _packed(self.counters, arrays),
        }
        return header, arrays

    @classmethod
    def unpack(cls, header: dict[str, Any], arrays: Arrays, problem: Any, method: Method) -> Kept:
        """The run that was packed, on the same problem.

        Args:
            header: As ``pack`` made it.
            arrays: As ``pack`` made them.
            problem: The problem, in the variables of the run.
            method: The method that is to go on: of the same kind; settings may differ.

        Raises:
            InputError: Another format, another method, points of another layout, or another value where the run stood.

        """
        if header.get("format") != FORMAT:
            raise InputError(
                f"the saved run has format {header.get('format')!r}; this version reads format {FORMAT}",
                "resume it with the version that saved it",
            )
        parts = ("point", "direction", "memory", "best", "trace", "counters")
        plain = ("method", "certificate", "decrement", "step_size", "solver")
        name = str(header.get("method")).split("(")[0]
        if name != type(method).__name__:
            raise InputError(
                f"the saved run is one of {header.get('method')}, not of {method!r}",
                f"resume with {name}, or start afresh",
            )
        read = _Reader(arrays, problem)
        try:
            point, direction, memory, best, columns, counters = (read(header[part]) for part in parts)
            method_then, (gap, kind, how, rounding), decrement, step_size, solver = (header[part] for part in plain)
            trace = Trace({name: column.tolist() for name, column in columns.items()})
            certificate = Certificate(gap, CertificateKind(kind), how, rounding)
        except InputError:
            raise
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise InputError(f"the saved run lacks a part, or holds one of another kind: {error}", REMEDY) from None
        if method_then != describe(method) and "step_size" in memory:
            memory["step_size"] = getattr(method, "step_size", memory["step_size"])  # the one asked for now
        state = State(
            point,
            direction,
            decrement,
            step_size,
            # A factor is not saved: the one at this point takes its place.
            refine=point.factored if solver else None,
            memory=memory,
        )
        check_same("where the saved run stood", trace.columns["value"], -1, point)
        return cls(method, state, trace, (best, certificate), counters)


def check_same(where: str, values: list[float], step: int, point: Any) -> None:
    """Raise if f at a point is not what a saved run had at a step: it was of another problem.

    Args:
        where: How the error names the point.
        values: f at every step of the saved run.
        step: Which of them.
        point: The point now.

    Raises:
        InputError: The values differ by more than rounding on another machine does.

    """
    with np.errstate(all="ignore"):
        differ = abs(point.value - values[step]) > eps(point.x) ** 0.5 * max(abs(values[step]), abs(values[0]))
    if differ:
        raise InputError(
            f"f = {point.value:.10g} {where}, and was {values[step]:.10g} then",
            "resume with the problem, the x0 and the scale of the saved run, or start afresh",
        )


def describe(method: Method) -> str:
    """The method's class with the settings that are not the usual ones, arrays left out."""
    shown = [
        (f.name, getattr(method, f.name))
        for f in fields(method)  # type: ignore[arg-type]
        if f.repr and getattr(method, f.name) is not f.default and getattr(method, f.name) != f.default
    ]
    return f"{type(method).__name__}({', '.join(f'{k}={v!r}' for k, v in shown if _is_short(v))})"


def _is_short(setting: Any) -> bool:
    """Whether a setting is a word, a number, or a part made of such: a schedule, an average."""
    if is_dataclass(setting):
        return all(_is_short(getattr(setting, f.name)) for f in fields(setting) if f.repr)
    if isinstance(setting, tuple):
        return all(map(_is_short, setting))
    return isinstance(setting, (str, int, float, bool, type(None)))


def _packed(value: Any, arrays: Arrays) -> Any:
    """A value as JSON can hold it; arrays go to ``arrays`` and leave their number."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": _stored(value, arrays)}
    if is_torch_array(value):
        plain = value.detach().cpu()
        # NumPy has no bfloat16: float32 holds it exactly.
        held = plain.float() if str(plain.dtype) == "torch.bfloat16" else plain
        return {"tensor": _stored(held.numpy(force=True), arrays), "dtype": str(plain.dtype).removeprefix("torch.")}
    if isinstance(value, Vector):
        # Arithmetic on arrays without axes leaves NumPy's numbers behind.
        leaves = [np.asarray(leaf) if isinstance(leaf, np.generic) else leaf for leaf in value.leaves]
        return {"vector": [_packed(leaf, arrays) for leaf in leaves], "form": _form(value)}
    if isinstance(value, dict):
        return {"mapping": [[_packed(key, arrays), _packed(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_packed(entry, arrays) for entry in value]}
    if isinstance(value, np.random.Generator):
        return {"generator": value.bit_generator.state, "kind": type(value.bit_generator).__name__}
    if hasattr(value, "gradient") and hasattr(value, "x"):
        return {"point": _packed(value.x, arrays)}
    raise InputError(f"a {type(value).__name__} in a method's memory cannot be saved", "run this method without save=")


def _form(x: Vector) -> str | list[Any]:
    """How a user sees the leaves, as JSON can hold it: keys that it cannot are written out."""
    plain = (str, int, float, bool, type(None))
    if isinstance(x.form, Tree):
        return str(x.form)
    return x.form if isinstance(x.form, str) else [key if isinstance(key, plain) else repr(key) for key in x.form]


def _layout(x: Any1D) -> tuple[Any, ...]:
    """Shapes, element types and form: what two vectors of one problem share."""
    if not isinstance(x, Vector):
        return "array", [tuple(x.shape)], [str(x.dtype)]
    # A leaf without axes may have become one of NumPy's numbers.
    return _form(x), [tuple(leaf.shape) for leaf in x.leaves], [str(leaf.dtype) for leaf in x.leaves]


def _stored(value: np.ndarray, arrays: Arrays) -> str:
    name = f"a{len(arrays)}"
    arrays[name] = np.array(value)
    return name


class _Reader:
    """Turns what ``_packed`` made back into values."""

    def __init__(self, arrays: Arrays, problem: Any) -> None:
        self.arrays = arrays
        self.problem = problem
        self.points: dict[str, Any] = {}

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "array" in value:
            return self.arrays[value["array"]]
        if "tensor" in value:
            return self._tensor(value)
        if "vector" in value:
            own = self.problem.start()
            saved = value["form"]
            # Keys that JSON cannot hold are those of the problem's own start.
            same = isinstance(own, Vector) and _form(own) == saved
            form = own.form if same else saved if isinstance(saved, str) else tuple(map(str, saved))
            return Vector(tuple(self(leaf) for leaf in value["vector"]), form)
        if "mapping" in value:
            return {self(key): self(entry) for key, entry in value["mapping"]}
        if "tuple" in value:
            return tuple(self(entry) for entry in value["tuple"])
        if "list" in value:
            return [self(entry) for entry in value["list"]]
        if "generator" in value:
            generator = np.random.Generator(getattr(np.random, value["kind"])())
            generator.bit_generator.state = value["generator"]
            return generator
        return self._point(self(value["point"]))

    def _point(self, x: Any) -> Any:
        own = self.problem.start()
        if x.size != own.size:
            raise InputError(
                f"the saved run has {x.size} parameters; the problem has {own.size}", "resume it on the same problem"
            )
        if _layout(x) != _layout(own):
            raise InputError(
                f"the saved run's x is laid out as {_layout(x)}; the problem's is {_layout(own)}",
                "resume it on the same problem",
            )
        return self.problem.at(x)

    def _tensor(self, value: dict[str, Any]) -> Any:
        import torch  # a run on tensors was saved

        own = self.problem.start()
        device = own.leaves[0].device if isinstance(own, Vector) and is_torch_array(own.leaves[0]) else "cpu"
        return torch.from_numpy(self.arrays[value["tensor"]]).to(device=device, dtype=getattr(torch, value["dtype"]))
