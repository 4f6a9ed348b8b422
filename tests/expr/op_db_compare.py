"""One sample of `op_db` on both sides: Thalweg's value and gradient beside torch's and `torch.autograd`'s."""

import importlib
import inspect
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils import _pytree as pytree

import thalweg
from expr import op_db_linalg, op_db_shapes  # noqa: F401  (they enter their adapters)
from expr.op_db_shared import SHARED, LeftOut
from thalweg.expr import namespace
from thalweg.expr.compiled import compile as thalweg_compile
from thalweg.expr.transforms import value_and_grad
from tolerances import TRIGAMMA_IN_TORCH, one_operation

PLACEMENT = ("device", "layout", "memory_format", "pin_memory", "requires_grad")
"""Arguments that say where a result is kept; they do not change it."""

ANALYSIS = ("linalg.", "cholesky", "svd", "qr", "pinverse", "logdet", "triangular_solve", "matrix_exp")
"""Operations whose error grows with the condition of their matrix."""

EAGER_ALONE = {"nonzero": "how many places there are", "argwhere": "how many places there are"}
"""Operations that tracing refuses, and what it would have to know. Neither compiles what is not a number."""

SYMMETRIC = ("cholesky", "linalg.cholesky", "linalg.eigh", "linalg.eigvalsh", "linalg.pinv.hermitian",
             "linalg.matrix_rank.hermitian")  # fmt: skip
"""They read one triangle. Both sides get (A + A')/2, as the two differ in what they say of the other triangle."""


def _largest_sign(vectors, axis):
    """Give the sign of each vector's largest entry."""
    at = np.argmax(np.abs(vectors), axis=axis, keepdims=True)
    return np.sign(np.take_along_axis(vectors, at, axis=axis))


def _eigh_signs(values):
    return [1.0, _largest_sign(values[1], -2)]


def _svd_signs(values):
    return [(s := _largest_sign(values[0], -2)), 1.0, np.swapaxes(s, -1, -2)]


def _old_svd_signs(values):
    return [(s := _largest_sign(values[0], -2)), 1.0, s]


def _qr_signs(values):
    signs = np.sign(np.diagonal(values[1], axis1=-2, axis2=-1))
    return [signs[..., None, :], signs[..., None]] if len(values) == 2 else [signs[..., None]]


SIGNS = {"linalg.eigh": _eigh_signs, "linalg.svd": _svd_signs, "svd": _old_svd_signs, "linalg.qr": _qr_signs,
         "qr": _qr_signs}  # fmt: skip
"""Factors are determined up to signs: what fixes them on both sides."""


OTHERS = SimpleNamespace(
    erf=namespace.erf, softmax=namespace.softmax, rsqrt=namespace.rsqrt,
    erfc=lambda x: namespace.call("erfc", x), gammaln=lambda x: namespace.call("gammaln", x),
    digamma=lambda x: namespace.call("polygamma", x, params=(0,)),
    polygamma=lambda x, order: namespace.call("polygamma", x, params=(order,)),
)  # fmt: skip
"""Operations of `thalweg.expr`, rows without a public name among them."""


class Names:
    """Thalweg's public names: `thalweg.numpy` with its ``linalg``, what `thalweg` adds, and `OTHERS`."""

    def __init__(self):
        self.homes = [importlib.import_module("thalweg.numpy"), thalweg, OTHERS]
        self.used = set()

    def find(self, name):
        """Look a name up; None if Thalweg does not have it."""
        for home in self.homes:
            found = home
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is not None:
                return found
        return None

    def __call__(self, name):
        """Give the function of a name, for an adapter."""
        self.used.add(name)
        found = self.find(name)
        if found is None:
            raise AttributeError(f"Thalweg has no {name}")
        return found


@dataclass
class Tally:
    """What became of an operation's samples."""

    compared: int = 0
    left_out: Counter = field(default_factory=Counter)
    ours: set = field(default_factory=set)


def full_name(op):
    """Name an entry of `op_db` with its variant."""
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def adapter_of(op):
    """Give the adapter of an entry of `op_db`, or None if its name is not shared."""
    return SHARED.get(full_name(op), SHARED.get(op.name))


def arguments_of(op, sample, adapter):
    """Give a sample's positional and keyword arguments as the adapter takes them."""
    kwargs = {k: v for k, v in sample.kwargs.items() if k not in PLACEMENT}
    if kwargs.pop("dtype", None) not in (None, torch.float64):
        raise LeftOut("another precision or kind of number (dtype)")
    args = (sample.input, *sample.args)
    known = inspect.signature(adapter).parameters
    strange = [k for k in kwargs if k not in known]
    if strange:
        raise LeftOut(f"argument {', '.join(strange)}")
    try:
        inspect.signature(adapter).bind(None, *args, **kwargs)
    except TypeError:
        raise LeftOut("more arguments than NumPy's function has") from None
    return args, kwargs


class Case:
    """One sample as a function of its floating arrays, on both sides."""

    def __init__(self, op, sample, names):
        self.op, self.names, self.adapter = op, names, adapter_of(op)
        called = arguments_of(op, sample, self.adapter)
        self.torch_call = (sample.input, *sample.args), dict(sample.kwargs)
        self.leaves, self.layout = pytree.tree_flatten(called)
        if any(isinstance(x, torch.Tensor) and x.dtype in (torch.float32, torch.float16) for x in self.leaves):
            raise LeftOut("arguments in single precision")
        if any(isinstance(x, torch.Tensor) and x.is_complex() for x in self.leaves) or any(
            isinstance(x, complex) for x in self.leaves
        ):
            raise LeftOut("complex numbers")
        self.places = [
            i for i, x in enumerate(self.leaves) if isinstance(x, torch.Tensor) and x.is_floating_point()
        ]  # fmt: skip
        self.plain = [x.detach().numpy().copy() if isinstance(x, torch.Tensor) else x for x in self.leaves]
        self.arrays = [self.plain[i] for i in self.places]

    def torch_side(self, seed, kept):
        """Give torch's values, the cotangents and torch's gradients."""
        leaves, layout = pytree.tree_flatten(self.torch_call)
        twins = []
        for i, x in enumerate(leaves):
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                leaves[i] = x.detach().clone().requires_grad_(self.op.supports_autograd)
                twins.append(leaves[i])
        args, kwargs = pytree.tree_unflatten(leaves, layout)
        if full_name(self.op) in SYMMETRIC:
            args = ((args[0] + args[0].mT) / 2, *args[1:])
        outputs = pytree.tree_leaves(self.op(*args, **kwargs))
        if any(isinstance(x, torch.Tensor) and x.dtype in (torch.float32, torch.float16) for x in self.leaves):
            raise LeftOut("arguments in single precision")
        if any(isinstance(x, torch.Tensor) and x.is_complex() for x in outputs):
            raise LeftOut("complex numbers")
        assert len(outputs) == len(kept), f"{len(kept)} results beside torch's {len(outputs)}"
        values = as_arrays(outputs)
        factors = self.factors(values)
        rng = np.random.default_rng(seed)
        cotangents = [rng.normal(size=np.shape(v)) for v in values]
        values = [v if k else None for v, k in zip(values, kept, strict=True)]
        live = [i for i, x in enumerate(outputs) if kept[i] and isinstance(x, torch.Tensor) and x.requires_grad]
        gradients = [None] * len(twins)
        if live and twins:
            seeds = [torch.as_tensor(np.asarray(cotangents[i] * factors[i])) for i in live]
            gradients = torch.autograd.grad([outputs[i] for i in live], twins, seeds, allow_unused=True)
        slopes = [
            np.zeros(t.shape) if g is None else g.numpy(force=True) for t, g in zip(twins, gradients, strict=True)
        ]
        return signed(values, factors), cotangents, live, slopes

    def factors(self, values):
        """Give what each output is multiplied by, so that it is determined."""
        rule = SIGNS.get(self.op.name)
        if rule is None or any(np.size(v) == 0 for v in values):
            return [1] * len(values)
        return rule([np.asarray(v) for v in values])

    def ours(self, *arrays):
        """Call Thalweg's function; give its outputs in a list."""
        leaves = list(self.plain)
        for i, x in zip(self.places, arrays, strict=True):
            leaves[i] = x
        args, kwargs = pytree.tree_unflatten(leaves, self.layout)
        if full_name(self.op) in SYMMETRIC:
            args = ((args[0] + self.names.find("matrix_transpose")(args[0])) / 2, *args[1:])
        outputs = self.adapter(self.names, *args, **kwargs)
        return pytree.tree_leaves(outputs)

    def weighted(self, cotangents, live, signs, convert=lambda x: x):
        """Make the function of the arrays that a cotangent stands for; its outputs come along."""

        def function(*arrays):
            outputs = self.ours(*arrays)
            total = 0.0
            for i in live:
                total = total + self.names.find("sum")(outputs[i] * convert(cotangents[i] * signs[i]))
            return total, tuple([x for x in outputs if x is not None])

        return function


def as_arrays(outputs):
    """Give plain arrays; None stands for an output of torch's that NumPy's function does not have."""
    return [
        x.detach().numpy() if isinstance(x, torch.Tensor) else None if x is None else np.asarray(x) for x in outputs
    ]


def signed(values, signs):
    """Multiply outputs by the signs that determine them (a plain 1: there are none)."""
    return [v * s if np.ndim(s) else v for v, s in zip(values, signs, strict=True)]


def scale_of(case):
    """Give what the tolerance is multiplied by: the condition of the matrix, squared in a derivative of an inverse."""
    if not case.op.name.startswith(ANALYSIS):
        return 1.0
    worst = 1.0
    for x in case.arrays:
        if x.ndim >= 2 and x.size and np.isfinite(x).all():
            s = np.linalg.svd(x, compute_uv=False)
            low = np.min(s, axis=-1)
            regular = low > 1e-12 * s[..., 0]
            worst = max(worst, float(np.max(np.where(regular, s[..., 0], 1.0) / np.where(regular, low, 1.0))))
    return worst**2


def agree(got, expected, tolerance, what):
    """Raise unless two lists of arrays agree, relative to the largest finite entry."""
    assert len(got) == len(expected), f"{what}: {len(got)} results for {len(expected)}"
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        if a is None:
            continue
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{what} {i}: shape {a.shape} for {b.shape}"
        finite = np.abs(b[np.isfinite(b)]) if b.dtype.kind == "f" else np.zeros(0)
        scale = max(1.0, float(finite.max(initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True, err_msg=f"{what} {i}")


def compare(case, ways=("eager",)):
    """Compare one sample; raise AssertionError where the sides differ."""
    tolerance = TRIGAMMA_IN_TORCH if case.op.name.endswith(("gamma", "lgamma")) else one_operation() * scale_of(case)
    with np.errstate(all="ignore"):
        plain = as_arrays(case.ours(*case.arrays))
    kept = [x is not None for x in plain]
    expected, cotangents, live, slopes = case.torch_side(len(case.leaves), kept)
    signs = case.factors(plain)
    agree(signed(plain, signs), expected, tolerance, "value")
    expected = [x for x in expected if x is not None]
    if not case.arrays:
        return
    numbers = tuple(range(len(case.arrays)))
    for way in ways:
        arrays, convert, mine = case.arrays, np.asarray, signs
        if way == "tensor":
            arrays, convert = [torch.as_tensor(x) for x in arrays], torch.as_tensor
            mine = case.factors(as_arrays(case.ours(*arrays)))
        function = value_and_grad(case.weighted(cotangents, live, mine, convert), numbers, has_aux=True)
        if way == "compiled":
            if case.op.name in EAGER_ALONE or any(np.isnan(x).any() for x in expected if x.dtype.kind == "f"):
                continue
            function = thalweg_compile(function, fuse=False)
        (_, outputs), gradients = function(*arrays)
        agree(
            signed(as_arrays(outputs), [s for s, x in zip(mine, plain, strict=True) if x is not None]),
            expected,
            tolerance,
            f"{way} value",
        )
        agree(as_arrays(gradients), slopes, tolerance, f"{way} gradient")
