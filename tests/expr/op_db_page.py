"""The page docs/operators.md, written from a comparison of every sample: ``cd tests && python -m expr.op_db_page``."""

import random
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

import thalweg.numpy
from expr.op_db_compare import Case, Names, Tally, adapter_of, compare, full_name
from expr.op_db_names import NOT_SHARED, REASONS, VARIANTS_LEFT_OUT
from expr.op_db_shared import LeftOut

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
WAYS = ("eager", "tensor", "compiled")
"""How the first sample of each operation is computed; the others are computed on arrays, eagerly."""

_INTRODUCTION = """# Operators: what Thalweg shares with torch

Torch's test suite has a database of its operations with sample inputs, `op_db`. For every operation whose name Thalweg
shares (NumPy's name for it counts), the float64 samples run on both sides: values, and the gradient for a random
cotangent beside `torch.autograd`'s. The first samples of each operation also run on tensors and compiled. The page is
made by `cd tests && python -m expr.op_db_page` with torch {version}; `tests/expr/test_torch_op_db.py` checks it.

## Shared and compared

{count} operations, {samples} samples. A sample is left out for the reasons in the last column alone.

| torch | Thalweg | compared | left out |
| --- | --- | ---: | --- |
"""


def load():
    """Import torch's database, which takes some seconds and warns about what it imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return op_db


def samples_of(op):
    """Give an operation's samples, the same in each run (none if it does not take float64)."""
    # torch.manual_seed, which op_db would call for each sample, notes the whole stack for every kind of device: slow.
    torch.random.default_generator.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (torch's samples draw from it)
    if torch.float64 not in op.dtypes:
        return []
    return list(op.sample_inputs("cpu", torch.float64, requires_grad=op.supports_autograd, set_seed=False))


def run(op, drawn=None, others=2):
    """Compare an operation's samples.

    Args:
        op: An entry of `op_db`.
        drawn: Compare so many of them, drawn at random, and one that is comparable at least; None: all.
        others: How many of them to compute on tensors and compiled, too.

    """
    names, tally = Names(), Tally()
    samples = samples_of(op)
    order = np.random.default_rng(0).permutation(len(samples)) if drawn else range(len(samples))
    for k, i in enumerate(order):
        if drawn and k >= drawn and tally.compared:
            break
        try:
            compare(Case(op, samples[i], names), WAYS if tally.compared < others else WAYS[:1])
            tally.compared += 1
        except LeftOut as reason:
            tally.left_out[str(reason)] += 1
        except Exception as error:
            raise AssertionError(f"{full_name(op)}, sample {i}: {samples[i].summary()}\n{error}") from error
    tally.ours = names.used
    return tally


def merged(op_db):
    """Compare every sample of every shared operation; variants of a name are taken together."""
    found: dict[str, Tally] = {}
    for op in op_db:
        tally = found.setdefault(op.name, Tally()) if adapter_of(op) or full_name(op) in VARIANTS_LEFT_OUT else None
        if adapter_of(op):
            one = run(op)
            tally.compared += one.compared
            tally.left_out += one.left_out
            tally.ours |= one.ours
        elif tally is not None:
            tally.left_out[VARIANTS_LEFT_OUT[full_name(op)]] += len(samples_of(op))
    return found


def ours_alone(found, op_db):
    """Give the functions of `thalweg.numpy` for which torch has no operation of that or another name."""
    used = set().union(*[tally.ours for tally in found.values()])
    theirs = {op.name for op in op_db} | {alias.name for op in op_db for alias in op.aliases}
    public = [n for n in thalweg.numpy.__all__ if callable(getattr(thalweg.numpy, n))]
    inner = [f"linalg.{n}" for n in getattr(thalweg.numpy.linalg, "__all__", ())]
    return [
        n
        for n in sorted(public + inner)
        if n not in used | theirs
        and n.removeprefix("linalg.") not in used | theirs
        and not hasattr(torch, n)
        and not isinstance(getattr(thalweg.numpy, n, None), type)
    ]


def write(op_db):
    """Give the page's text."""
    found = merged(op_db)
    samples = sum(tally.compared for tally in found.values())
    lines = [_INTRODUCTION.format(version=torch.__version__.split("+")[0], count=len(found), samples=samples)]
    for name, tally in sorted(found.items()):
        reasons = "; ".join(f"{n}: {reason}" for reason, n in sorted(tally.left_out.items()))
        ours = ", ".join(f"`{n}`" for n in sorted(tally.ours)) or "indexing"
        lines.append(f"| `{name}` | {ours} | {tally.compared} | {reasons} |\n")
    lines.append("\n## Not shared\n\nEvery other operation of `op_db`, by the reason.\n")
    for reason in REASONS:
        names = ", ".join(f"`{n}`" for n in sorted(NOT_SHARED) if NOT_SHARED[n] == reason)
        lines.append(f"\n**{reason[0].upper()}{reason[1:]}.** {names}\n")
    alone = ", ".join(f"`{n}`" for n in ours_alone(found, op_db))
    lines.append(
        f"\n## Ours that torch lacks\n\nFunctions of `thalweg.numpy` without a counterpart in torch: {alone}\n"
    )
    return "".join(lines)


def read(text):
    """Read the page back: {shared name: (compared, left out by reason)}, and {unshared name: reason}."""
    table, _, rest = text.partition("## Not shared")
    shared = {}
    for name, compared, reasons in re.findall(r"^\| `(\S+)` \| .* \| (\d+) \| (.*) \|$", table, re.MULTILINE):
        parts = re.findall(r"(\d+): (.*?)(?=; \d+: |$)", reasons)
        assert name not in shared, f"{name} stands twice on the page"
        shared[name] = int(compared), Counter({reason: int(n) for n, reason in parts})
    unshared = {}
    body = rest.partition("## Ours that torch lacks")[0]
    for reason, names in re.findall(r"^\*\*(.*?)\.\*\* (.*)$", body, re.MULTILINE):
        for name in re.findall(r"`(\S+?)`", names):
            assert name not in unshared, f"{name} stands twice on the page"
            unshared[name] = reason
    return shared, unshared


if __name__ == "__main__":
    PAGE.write_text(write(load()))
