"""The text of compiled epochs on sparse rows in which an update costs what its rows store, not d.

Without a gradient of its own every coefficient follows the same linear recurrence: the penalty shrinks it, momentum
moves it on. So coefficients are kept as they were at some time, and the recurrence since then as a few numbers that all
have in common; a row changes the entries that it stores (Shalev-Shwartz, Singer, Srebro and Cotter, Pegasos, Math.
Program. 127 (2011), section 2.1). Now and then, when much would cancel, all coefficients are brought up to date.
"""

from __future__ import annotations

from thalweg.methods.epoch_source import COLUMN, ROW, Shape, indent, module_text
from thalweg.methods.slope_source import Slope

#: Below this size the common factor of shrunk coefficients is multiplied out.
SMALLEST_FACTOR = "1e-100"
#: The same where iterates are averaged: the share of the coefficients in their average grows against the factor, and
#: what cancels in it costs as many digits.
SMALLEST_AVERAGED = "0.1"
#: The same for the determinant of the recurrence of coefficients and their momentum, for the same reason: with momentum
#: 0.9 every 44 updates.
SMALLEST_DETERMINANT = "0.01"


def lazy_text(slope: Slope, shape: Shape) -> str:
    """The module whose function ``epoch`` takes plain steps.

    x = factor * held + along * centre_gradient: shrinking by the penalty changes the one number, the anchor's gradient
    the other. An average is kept * held + rest * other + away * centre_gradient, where ``other`` makes up for what
    changes in ``held`` (Xu, Towards optimal one pass large scale learning with averaged stochastic gradient descent,
    arXiv:1107.2490 (2011), section 5.1).
    """
    anchored, averaged = shape.anchored, shape.averaged
    correction = " + along * products[i, c]" * anchored
    smallest = SMALLEST_AVERAGED if averaged else SMALLEST_FACTOR
    each = ["for j in range(d):", "    for c in range(classes):"]
    lines = [
        "def epoch(data, indices, indptr, y, order, batch, alphas, offset, ridge, decay, xs"
        + ", weights" * shape.weighted
        + ", slopes, centre_gradients, products" * anchored
        + ", shares, means" * averaged
        + "):",
        f"    classes, d = {shape.classes}, xs.shape[1] - 1",
        # A row's entries are looked up for all scores at once.
        "    held = xs[:, :d].T.copy()",
        "    biases, totals, scores = xs[:, d].copy(), np.zeros(classes), np.zeros(classes)",
        "    factor, along = 1.0, 0.0",
        *["    other = means[:, :d].T.copy()", "    kept, rest, away = 0.0, 1.0, 0.0"] * averaged,
        f"    work, us = np.empty(({slope.rows}, classes)), np.empty((batch, classes))",
        "    for b in range(alphas.shape[0]):",
        "        start = b * batch",
        "        stop = min(start + batch, order.shape[0])",
        "        a = alphas[b]",
        "        share = (stop - start) / batch",
        "        totals[:] = 0.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            scores[:] = 0.0",
        "            for k in range(lo, hi):",
        f"                column = {COLUMN}",
        "                for c in range(classes):",
        "                    scores[c] += data[k] * held[column, c]",
        "            for c in range(classes):",
        f"                scores[c] = factor * scores[c]{correction} + offset * biases[c]",
        "            row = slope(scores, y[i], work)",
        "            for c in range(classes):",
        "                u = row[c]" + " - slopes[i, c]" * anchored,
        *["                u *= weights[i]"] * shape.weighted,
        "                us[r - start, c] = u / batch",
        "                totals[c] += u / batch",
        "        shrunk = 1.0 - a * (share * ridge + decay)",
        *["        along = shrunk * along - a * share"] * anchored,
        "        factor *= shrunk",
        f"        if abs(factor) < {smallest}" + f" or abs(rest) < {SMALLEST_FACTOR}" * averaged + ":",
        *indent(each, 3),
        *["                    other[j, c] = kept * held[j, c] + rest * other[j, c]"] * averaged,
        "                    held[j, c] *= factor",
        *["            kept, rest = 0.0, 1.0"] * averaged,
        "            factor = 1.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            for c in range(classes):",
        "                us[r - start, c] *= a / factor",
        "            for k in range(lo, hi):",
        f"                column = {COLUMN}",
        "                for c in range(classes):",
        "                    moved = us[r - start, c] * data[k]",
        "                    held[column, c] -= moved",
        *["                    other[column, c] += kept / rest * moved"] * averaged,
        "        for c in range(classes):",
        "            biases[c] -= a * (offset * totals[c]"
        + " + share * centre_gradients[c, d]" * anchored
        + " + decay * biases[c])",
        *indent(
            [
                "m = shares[b]",
                "kept, rest = kept + m * (factor - kept), rest - m * rest",
                *["away += m * (along - away)"] * anchored,
                "for c in range(classes):",
                "    means[c, d] += m * (biases[c] - means[c, d])",
            ],
            2,
        )
        * averaged,
        *indent(each, 1),
        "            xs[c, j] = factor * held[j, c]" + " + along * centre_gradients[c, j]" * anchored,
        *[
            "            means[c, j] = kept * held[j, c] + rest * other[j, c]"
            + " + away * centre_gradients[c, j]" * anchored
        ]
        * averaged,
        "    for c in range(classes):",
        "        xs[c, d] = biases[c]",
    ]
    return module_text(slope, lines)


def lazy_momentum_text(slope: Slope, shape: Shape, nesterov: bool) -> str:
    """The module whose function ``epoch`` takes steps of ``MomentumStep``.

    x = p00 * held + p01 * pushed and m = p10 * held + p11 * pushed. An update multiplies P by the matrix of its map
    without the rows' gradients s/B, and their share (e0, e1) s/B enters as P^-1 (e0, e1) s/B.
    """
    # x moves along own (l x + s) + kept m after m <- keep m + fresh (l x + s), where l is the weight of the penalty.
    own, kept = ("1.0", "beta") if nesterov else ("0.0", "1.0")
    lines = [
        "def epoch(data, indices, indptr, y, order, batch, alphas, first, offset, ridge, decay, beta, undamped, xs, ms"
        + ", weights" * shape.weighted
        + "):",
        f"    classes, d = {shape.classes}, xs.shape[1] - 1",
        "    held, pushed = xs[:, :d].T.copy(), ms[:, :d].T.copy()",
        "    p00, p01, p10, p11, determinant = 1.0, 0.0, 0.0, 1.0, 1.0",
        "    biases, pushes, totals = xs[:, d].copy(), ms[:, d].copy(), np.zeros(classes)",
        "    scores, more = np.zeros(classes), np.zeros(classes)",
        f"    work, us = np.empty(({slope.rows}, classes)), np.empty((batch, classes))",
        "    for b in range(alphas.shape[0]):",
        "        start = b * batch",
        "        stop = min(start + batch, order.shape[0])",
        "        a = alphas[b]",
        "        weight = (stop - start) / batch * ridge + decay",
        "        totals[:] = 0.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            scores[:] = 0.0",
        "            more[:] = 0.0",
        "            for k in range(lo, hi):",
        f"                column = {COLUMN}",
        "                for c in range(classes):",
        "                    scores[c] += data[k] * held[column, c]",
        "                    more[c] += data[k] * pushed[column, c]",
        "            for c in range(classes):",
        "                scores[c] = p00 * scores[c] + p01 * more[c] + offset * biases[c]",
        "            row = slope(scores, y[i], work)",
        "            for c in range(classes):",
        "                u = row[c]" + " * weights[i]" * shape.weighted,
        "                us[r - start, c] = u / batch",
        "                totals[c] += u / batch",
        "        fresh = 1.0 if first + b == 1 else undamped",
        f"        reach = a * ({own} + {kept} * fresh)",
        f"        m00, m01, m10 = 1.0 - reach * weight, -a * {kept} * beta, fresh * weight",
        "        p00, p10 = m00 * p00 + m01 * p10, m10 * p00 + beta * p10",
        "        p01, p11 = m00 * p01 + m01 * p11, m10 * p01 + beta * p11",
        f"        determinant *= beta * (1.0 - a * {own} * weight)",
        f"        if abs(determinant) < {SMALLEST_DETERMINANT}:",
        "            for j in range(d):",
        "                for c in range(classes):",
        "                    h, g = held[j, c], pushed[j, c]",
        "                    held[j, c], pushed[j, c] = p00 * h + p01 * g, p10 * h + p11 * g",
        "            p00, p01, p10, p11, determinant = 1.0, 0.0, 0.0, 1.0, 1.0",
        "        into_held = (p11 * reach + p01 * fresh) / determinant",
        "        into_pushed = (p10 * reach + p00 * fresh) / determinant",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            for k in range(lo, hi):",
        f"                column = {COLUMN}",
        "                for c in range(classes):",
        "                    held[column, c] -= into_held * us[r - start, c] * data[k]",
        "                    pushed[column, c] += into_pushed * us[r - start, c] * data[k]",
        "        for c in range(classes):",
        "            g = offset * totals[c] + decay * biases[c]",
        "            pushes[c] = beta * pushes[c] + fresh * g",
        f"            biases[c] -= a * ({own} * g + {kept} * pushes[c])",
        "    for c in range(classes):",
        "        for j in range(d):",
        "            xs[c, j] = p00 * held[j, c] + p01 * pushed[j, c]",
        "            ms[c, j] = p10 * held[j, c] + p11 * pushed[j, c]",
        "        xs[c, d], ms[c, d] = biases[c], pushes[c]",
    ]
    return module_text(slope, lines)
