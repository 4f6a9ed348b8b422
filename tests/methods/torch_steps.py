"""An update rule of the library and an optimizer of torch on the same gradients, step by step."""

import numpy as np
import torch
from array_api_compat import is_torch_array

from thalweg.core.vector import Vector, flat, like

STEPS = 60
STEP_SIZE = 0.05
SHAPES = {"weight": (3, 4), "bias": (3,), "scale": (), "kernel": (2, 1, 3)}
SIZE = 22
LAYOUTS = ("array", "numpy", "torch")


def start(layout, dtype):
    """A vector of SIZE entries as one NumPy array, as NumPy leaves or as torch leaves."""
    rng = np.random.default_rng(1)
    entries = rng.normal(size=SIZE).astype(dtype)
    if layout == "array":
        return entries
    leaves = tuple(np.zeros(shape, dtype=dtype) for shape in SHAPES.values())
    if layout == "torch":
        leaves = tuple(torch.from_numpy(leaf) for leaf in leaves)
    return like(Vector(leaves, tuple(SHAPES)), entries)


def random_gradients(dtype):
    """Gradients of sizes from 1e-4 to 10, one entry without any, whatever x is."""
    rng = np.random.default_rng(2)
    table = rng.normal(size=(STEPS, SIZE)) * np.geomspace(1e-4, 10, SIZE)
    table[:, 5] = 0.0
    table = table.astype(dtype)
    return lambda x, k: table[k]


def logistic_gradients(dtype):
    """The gradient of a mean logistic loss over rows whose columns differ in size by 100."""
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(50, SIZE)) * np.geomspace(0.05, 5, SIZE)).astype(dtype)
    y = np.sign(rng.normal(size=50)).astype(dtype)

    def gradient(x, k):
        return (X.T @ (-y / (1 + np.exp(y * (X @ x)))) / dtype(50)).astype(dtype)

    return gradient


GRADIENTS = {"random": random_gradients, "logistic": logistic_gradients}


def by_rule(rule, layout, gradients, dtype=np.float64, step_size=STEP_SIZE):
    """Entries of x after each step, shape (STEPS, SIZE)."""
    x = start(layout, dtype)
    slots = rule.init(x)
    path = []
    for k in range(STEPS):
        x, slots = rule.update(x, like(x, gradients(flat(x), k)), slots, step_size, k + 1)
        path.append(flat(x).copy())
    leaves = x.leaves if isinstance(x, Vector) else (x,)
    assert all(str(leaf.dtype).endswith(np.dtype(dtype).name) for leaf in leaves)
    assert all(is_torch_array(leaf) == (layout == "torch") for leaf in leaves)
    return np.array(path)


def by_torch(make, gradients, dtype=np.float64):
    """The same for an optimizer that ``make`` makes of a list of parameters."""
    leaves = [torch.nn.Parameter(leaf.clone()) for leaf in start("torch", dtype).leaves]
    optimizer = make(leaves)
    path = []
    for k in range(STEPS):
        entries = np.concatenate([leaf.detach().numpy().reshape(-1) for leaf in leaves])
        template = Vector(tuple(leaf.detach() for leaf in leaves), "tuple")
        for leaf, gradient in zip(leaves, like(template, gradients(entries, k)).leaves, strict=True):
            leaf.grad = gradient
        optimizer.step()
        path.append(np.concatenate([leaf.detach().numpy().reshape(-1) for leaf in leaves]))
    return np.array(path)
