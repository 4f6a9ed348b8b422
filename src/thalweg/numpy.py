"""NumPy's functions, for differentiating through: the same names, defaults and results, on nodes and tensors, too.

``import thalweg.numpy as np`` in place of NumPy. On plain arrays each function is NumPy's own; on torch tensors it
computes with torch; under `grad` and its relatives it records what the derivative needs.
"""

from thalweg.expr.numpy_api import *  # noqa: F403
from thalweg.expr.numpy_api import __all__ as __all__
