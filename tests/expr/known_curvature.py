"""Functions of known curvature, written before the rules that must find it.

`curvature` is what composition proves, entry by entry of the function, in `wrt` over the symbols' attributes, with
every other symbol held at any value of its attributes: "convex", "concave", "affine" or "unknown". `actual` is the
truth, "neither" where both kinds of curvature are found. The two differ only where the truth needs a rule that
composition does not have; whoever proves `actual` there is right as well. Notation as in `identity_notation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from expr.identity_notation import Symbol, declared


@dataclass(frozen=True)
class Curvature:
    """What is known of a function; `reason` names the rule that decides."""

    text: str
    wrt: str
    symbols: Mapping[str, Symbol]
    curvature: str
    reason: str
    actual: str


def functions(curvature, *lines, actual=None):
    """Make records of (text, variable, declarations, reason)."""
    truth = actual or curvature
    return [Curvature(t, wrt, declared(symbols), curvature, reason, truth) for t, wrt, symbols, reason in lines]


AFFINE = functions(
    "affine",
    ("c'*x-b", "x", "c: n; x: n; b: 1", "linear plus a constant"),
    ("A*x-b", "x", "A: m x n; x: n; b: m", "each entry is linear plus a constant"),
    ("tr(A'*X)+sum(X)", "X", "A: m x n; X: m x n", "a sum of linear functions"),
    ("a'*X*b", "X", "a: m; X: m x n; b: n", "bilinear forms are linear in the matrix"),
    ("x'*A*x", "A", "x: n; A: n x n", "quadratic in x, linear in A"),
    ("sum(inv(A)*x)", "x", "A: n x n; x: n", "the inverse is a constant"),
    ("2*norm2(a)*(a'*x)-log(sum(exp(a)))", "x", "a: n; x: n", "curved functions of constants are constants"),
)

CONVEX = functions(
    "convex",
    ("norm1(x)", "x", "x: n", "a norm"),
    ("norm2(A*x-b)", "x", "A: m x n; x: n; b: m", "a norm of an affine map"),
    ("norm2(A*x-b)^2", "x", "A: m x n; x: n; b: m", "a square, increasing where its convex argument lies"),
    ("normF(X-A)", "X", "X: m x n; A: m x n", "a norm of an affine map"),
    ("normF(T-U*V')^2", "U", "T: m x n; U: m x k; V: n x k", "affine in one factor, then a squared norm"),
    ("normF(X*B-A)^2+sum(abs(X))", "X", "X: m x n; B: n x p; A: m x p", "a sum of convex functions"),
    ("x'*A*x", "x", "x: n; A: n x n, positive definite", "a quadratic form of a positive definite matrix"),
    ("tr(X'*S*X)", "X", "X: m x n; S: m x m, positive definite", "a sum of such forms, one a column"),
    ("(a'*x)^2", "x", "a: n; x: n", "an even power of an affine function"),
    ("sum((A*x).^4)", "x", "A: m x n; x: n", "an even power of an affine map"),
    ("exp(a'*x)", "x", "a: n; x: n", "a convex function of an affine one"),
    ("exp(norm2(x)^2)", "x", "x: n", "a convex increasing function of a convex one"),
    ("sum(exp(A*x))", "x", "A: m x n; x: n", "a sum of convex functions of affine ones"),
    ("log(sum(exp(A*x+b)))", "x", "A: m x n; x: n; b: m", "log-sum-exp of an affine map"),
    ("log(1+exp(a'*x))", "x", "a: n; x: n", "softplus, once the stable form is seen"),
    ("sum(softplus(-y.*(X*w)))", "w", "X: m x n; y: m; w: n", "softplus of an affine map"),
    ("sum(softplus(x.*x))", "x", "x: n", "softplus is convex and increasing, a square is convex"),
    ("sum(relu(vector(1)-y.*(X*w)))", "w", "X: m x n; y: m; w: n", "relu of an affine map"),
    ("sum(relu(vector(1)-y.*(X*w)).^2)", "w", "X: m x n; y: m; w: n", "a square, increasing on nonnegative numbers"),
    ("norm2(relu(A*x))", "x", "A: m x n; x: n", "a norm, increasing in nonnegative entries"),
    ("sum(abs(A*x-b))+l*norm2(x)^2", "x", "A: m x n; x: n; b: m; l: 1, nonnegative", "a nonnegative sum"),
    ("-sum(log(x))", "x", "x: n, nonnegative", "the negative of a concave function"),
    ("-sum(log(b-A*x))", "x", "A: m x n; x: n; b: m", "the negative of a concave function of an affine map"),
    ("sum(x.*log(x))", "x", "x: n, nonnegative", "the negative entropy"),
    ("sum(1./x)", "x", "x: n, nonnegative", "a negative power on positive numbers"),
    ("1/(a'*x)", "x", "a: n, nonnegative; x: n, nonnegative", "a negative power of a positive affine function"),
    ("sqrt(1+x'*x)", "x", "x: n", "a norm of (1, x)"),
    ("-logdet(X)", "X", "X: n x n, positive definite", "the negative of a concave function"),
    ("tr(S*X)-logdet(X)", "X", "X: n x n, positive definite; S: n x n, symmetric", "linear plus convex"),
    ("tr(inv(X))", "X", "X: n x n, positive definite", "the trace of an operator convex function"),
    ("a'*inv(X)*a", "X", "X: n x n, positive definite; a: n", "the matrix fractional function"),
    ("x'*diag(w)*x", "x", "x: n; w: n, nonnegative", "squares with nonnegative weights"),
    ("tr(X*X)", "X", "X: n x n, symmetric", "the squares of the entries"),
    ("x*x*x*x", "x", "x: 1", "an even power, multiplied out"),
    ("1/tr(X)", "X", "X: n x n, positive definite", "a negative power of a positive linear function"),
    (
        "y'*inv(K+l*eye(n))*y",
        "l",
        "y: n; K: n x n, positive definite; l: 1, nonnegative",
        "matrix fractional, of a line",
    ),
    (
        "tr(inv(A+t*B))",
        "t",
        "A: n x n, positive definite; B: n x n, positive definite; t: 1, nonnegative",
        "the trace of the inverse, along a line",
    ),
)

CONCAVE = functions(
    "concave",
    ("sum(log(x))", "x", "x: n, nonnegative", "a concave function in each entry"),
    ("sum(log(A*x))", "x", "A: m x n, nonnegative; x: n, nonnegative", "concave of an affine map"),
    ("log(1+a'*x)", "x", "a: n, nonnegative; x: n, nonnegative", "concave of an affine function"),
    ("sqrt(sum(x))", "x", "x: n, nonnegative", "concave of an affine function"),
    ("sum(sqrt(log(vector(2)+x)))", "x", "x: n, nonnegative", "concave and increasing, of a concave function"),
    ("-norm2(x)", "x", "x: n", "the negative of a norm"),
    ("c'*x-norm2(A*x)^2", "x", "c: n; A: m x n; x: n", "affine minus convex"),
    ("-x'*A*x", "x", "x: n; A: n x n, positive definite", "the negative of a convex form"),
    ("-sum(x.*log(x))", "x", "x: n, nonnegative", "the entropy"),
    ("y'*X*w-sum(softplus(X*w))", "w", "X: m x n; y: m; w: n", "the logistic log-likelihood: affine minus convex"),
    ("logdet(X)", "X", "X: n x n, positive definite", "concave on positive definite matrices"),
    ("logdet(A+diag(x))", "x", "A: n x n, positive definite; x: n, nonnegative", "concave of an affine map"),
    ("det(X)^(1/n)", "X", "X: n x n, positive definite", "Minkowski's inequality"),
)

NEITHER = functions(
    "unknown",
    ("x'*A*x", "x", "x: n; A: n x n, symmetric", "the sign of A is not known"),
    ("(a'*x)*(b'*x)", "x", "a: n; b: n; x: n", "a product of two affine functions"),
    ("norm1(x)-norm2(x)^2", "x", "x: n", "convex minus convex"),
    ("sum(sin(x))", "x", "x: n", "the sine bends both ways"),
    ("sum(sigmoid(x))", "x", "x: n", "convex below 0, concave above"),
    ("sum(tanh(A*x))", "x", "A: m x n; x: n", "convex below 0, concave above"),
    ("norm2(sigmoid(X*w)-y)^2", "w", "X: m x n; y: m; w: n", "a square of what is neither"),
    ("exp(-x'*x)", "x", "x: n", "an increasing convex function of a concave one"),
    ("log(norm2(x))", "x", "x: n", "an increasing concave function of a convex one"),
    ("sum(x.^3)", "x", "x: n", "an odd power where both signs occur"),
    ("a'*x/(b'*x)", "x", "a: n; b: n, nonnegative; x: n, nonnegative", "a ratio of affine functions"),
    ("x'*A*x/(x'*x)", "x", "x: n; A: n x n, positive definite", "a ratio of convex functions"),
    ("det(X)", "X", "X: n x n", "a polynomial with saddles"),
    ("normF(X*X'-A)^2", "X", "X: n x k; A: n x n, positive definite", "affine in neither factor"),
    actual="neither",
)

RULE_MISSING = functions(
    "unknown",
    ("sum(x.*exp(x))", "x", "x: n, nonnegative", "a rule is missing: the product of positive increasing functions"),
    ("x'*x/(a'*x)", "x", "a: n, nonnegative; x: n, nonnegative", "a rule is missing: a square over a linear function"),
    ("sum(x.^2./(vector(1)+x))", "x", "x: n, nonnegative", "a rule is missing: a square over a linear function"),
    actual="convex",
)

CURVATURES = [*AFFINE, *CONVEX, *CONCAVE, *NEITHER, *RULE_MISSING]
"""Every function of known curvature."""
