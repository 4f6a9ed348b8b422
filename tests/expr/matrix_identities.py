"""Known answers of matrix calculus, written before the code that must reach them.

Conventions and notation are those of `identity_notation`. Each answer is checked against torch.autograd and each is
meant up to normal form: A'*(A*x-b) is A'*A*x-A'*b.
"""

from expr.identity_notation import COOKBOOK, MAGNUS, MINKA, Rule, d, declared, identities, used
from expr.vector_identities import VECTOR_IDENTITIES

_XY = "X: n x n; Y: n x n; A: n x n; B: n x n; f: 1; x: n"
RULES = [
    Rule(name, text, differential, wrt, used(declared(_XY), text, differential, *wrt))
    for name, text, differential, wrt in (
        ("constant", "A", "matrix(0,n,n)", ("X",)),
        ("constant factor", "3*X", "3*dX", ("X",)),
        ("constant matrices", "A*X*B", "A*dX*B", ("X",)),
        ("sum", "X+Y", "dX+dY", ("X", "Y")),
        ("transpose", "X'", "dX'", ("X",)),
        ("product", "X*Y", "dX*Y+X*dY", ("X", "Y")),
        ("inner product", "tr(X'*Y)", "tr(dX'*Y)+tr(X'*dY)", ("X", "Y")),
        ("quotient", "X/f", "(f*dX-df*X)/f^2", ("X", "f")),
        ("determinant", "det(X)", "det(X)*tr(inv(X)*dX)", ("X",)),
        ("trace", "tr(X)", "tr(dX)", ("X",)),
        ("inverse", "inv(X)", "-inv(X)*dX*inv(X)", ("X",)),
        ("chain", "log(det(X))", "tr(inv(X)*dX)", ("X",)),
        ("chain, entry by entry", "exp(A*x)", "exp(A*x).*(A*dx)", ("x",)),
    )
]
"""The differential rules of SPEC A6, in its order, and the chain rule on a matrix and entry by entry."""

WORKED = [
    *identities(
        "SPEC A6",
        "x: n; a: n; b: n; c: n; A: n x n",
        d("c'*x", "x", "c", "matrix(0,n,n)"),
        d("x'*A*x", "x", "(A+A')*x", "A+A'"),
        d("norm2(x)^2", "x", "2*x", "2*eye(n)"),
        d("x'*x", "x", "2*x", "2*eye(n)"),
        d("norm1(x)", "x", "sign(x)", "matrix(0,n,n)"),
        d("log(1+exp(a'*x))", "x", "sigmoid(a'*x)*a", "sigmoid(a'*x)*(1-sigmoid(a'*x))*a*a'"),
    ),
    *identities("SPEC A6", "x: n; A: n x n; b: n; c: 1", d("(A*x)'*x/2-b'*x+c", "x", "(A+A')*x/2-b", "(A+A')/2")),
    *identities(
        "SPEC A6",
        "x: n; A: n x n, symmetric",
        d("log(x'*A*x)", "x", "2*A*x/(x'*A*x)", "2/(x'*A*x)^2*((x'*A*x)*A-2*(A*x)*(A*x)')"),
    ),
    *identities(
        "SPEC A6",
        "A: m x n; X: n x k; B: m x k",
        d(
            "normF(A*X-B)",
            "X",
            "A'*(A*X-B)/normF(A*X-B)",
            hessian_map="A'*A*D/normF(A*X-B)-tr((A*X-B)'*A*D)/normF(A*X-B)^3*A'*(A*X-B)",
            second="tr(D'*A'*A*D)/normF(A*X-B)-tr((A*X-B)'*A*D)^2/normF(A*X-B)^3",
        ),
    ),
    *identities(
        "SPEC A6",
        "S: n x n; X: n x n",
        d(
            "tr(S'*X)-logdet(X)",
            "X",
            "S-inv(X)'",
            hessian_map="inv(X)'*D'*inv(X)'",
            second="tr(inv(X)*D*inv(X)*D)",
        ),
        d("tr(X)", "X", "eye(n)", hessian_map="matrix(0,n,n)", second="0"),
    ),
    *identities("SPEC A6", "x: 1; y: 1", d("[x+y; x-y]", "x, y", "[1, 1; 1, -1]")),
    *identities("SPEC A6", "A: n x m", [("tr(A'*inv(A*A')*A)", "A", 0, "n", None, None)]),
    *identities(
        "SPEC A2",
        "w: 1; x: 1; b: 1; t: 1; l: 1",
        d("relu(w*x+b)", "w", "x*sign(relu(w*x+b))"),
        d("relu(w*x+b)", "x", "w*sign(relu(w*x+b))"),
        d("relu(w*x+b)", "b", "sign(relu(w*x+b))"),
        d(
            "(sigmoid(w*x+b)-t)^2/2+l*w^2/2",
            "w",
            "(sigmoid(w*x+b)-t)*sigmoid(w*x+b)*(1-sigmoid(w*x+b))*x+l*w",
        ),
        d("(sigmoid(w*x+b)-t)^2/2+l*w^2/2", "b", "(sigmoid(w*x+b)-t)*sigmoid(w*x+b)*(1-sigmoid(w*x+b))"),
        d("(sigmoid(w*x+b)-t)^2/2+l*w^2/2", "x", "(sigmoid(w*x+b)-t)*sigmoid(w*x+b)*(1-sigmoid(w*x+b))*w"),
    ),
]
"""The worked answers of SPEC A6, each, with those of A2."""

TRACES = [
    *identities(
        COOKBOOK + "2.5",
        "X: m x n; A: n x m; B: m x n; C: k x m; E: n x k; F: k x n; G: m x k",
        d("tr(A*X)", "X", "A'"),
        d("tr(X'*B)", "X", "B"),
        d("tr(X*B')", "X", "B"),
        d("tr(C*X*E)", "X", "C'*E'"),
        d("tr(F*X'*G)", "X", "G*F"),
        d("tr(X*X')", "X", "2*X", "2*kron(eye(m),eye(n))", hessian_map="2*D", second="2*tr(D'*D)"),
        d("sum(X)", "X", "matrix(1,m,n)"),
        d("sum(B.*X)", "X", "B"),
        d("sum(X.*X)", "X", "2*X"),
        d("tr(A*(X.*X))", "X", "2*A'.*X"),
        d("tr(X'*exp(X))", "X", "exp(X)+X.*exp(X)"),
    ),
    *identities(
        COOKBOOK + "2.5",
        "X: m x n; A: m x m; B: n x n; C: k x m; E: n x p; F: k x p; G: m x k",
        d("tr(X'*A*X)", "X", "(A+A')*X", "kron(A+A',eye(n))", hessian_map="(A+A')*D", second="tr(D'*(A+A')*D)"),
        d("tr(X*B*X')", "X", "X*(B+B')", "kron(eye(m),B+B')", hessian_map="D*(B+B')"),
        d("tr(X'*A*X*B)", "X", "A*X*B+A'*X*B'", "kron(A,B')+kron(A',B)", second="2*tr(D'*A*D*B)"),
        d("tr(C*X*B*X'*G)", "X", "C'*G'*X*B'+G*C*X*B", "kron(C'*G',B)+kron(G*C,B')"),
        d("tr((C*X*E+F)*(C*X*E+F)')", "X", "2*C'*(C*X*E+F)*E'", "2*kron(C'*C,E*E')", second="2*tr(C*D*E*E'*D'*C')"),
        d("tr(E'*X'*A*X*E)", "X", "(A+A')*X*E*E'", "kron(A+A',E*E')"),
    ),
    *identities(
        COOKBOOK + "2.5",
        "X: n x n; A: n x n; B: n x n; C: k x n; E: n x k",
        d("tr(X^2)", "X", "2*X'", hessian_map="2*D'", second="2*tr(D*D)"),
        d("tr(X^3)", "X", "3*(X^2)'", hessian_map="3*(X*D+D*X)'", second="6*tr(X*D*D)"),
        d("tr(X^4)", "X", "4*(X^3)'"),
        d("tr(A*X^2)", "X", "X'*A'+A'*X'", hessian_map="D'*A'+A'*D'", second="2*tr(A*D*D)"),
        d("tr(A*X*B*X)", "X", "A'*X'*B'+B'*X'*A'", second="2*tr(A*D*B*D)"),
        d("tr(A*X^3)", "X", "A'*X'*X'+X'*A'*X'+X'*X'*A'"),
        d("tr(X)^2", "X", "2*tr(X)*eye(n)", hessian_map="2*tr(D)*eye(n)", second="2*tr(D)^2"),
        d("tr(kron(A,X))", "X", "tr(A)*eye(n)"),
        d("tr(X)*tr(A*X)", "X", "tr(A*X)*eye(n)+tr(X)*A'"),
        d("tr(A*X)/tr(X)", "X", "A'/tr(X)-tr(A*X)/tr(X)^2*eye(n)"),
        d("tr(inv(X))", "X", "-(inv(X)*inv(X))'", second="2*tr(inv(X)*D*inv(X)*D*inv(X))"),
        d("tr(C*X^-1*E)", "X", "-(inv(X)*E*C*inv(X))'", second="2*tr(C*inv(X)*D*inv(X)*D*inv(X)*E)"),
        d("tr(X^-2)", "X", "-2*(X^-3)'"),
        d("tr(inv(X+A))", "X", "-(inv(X+A)*inv(X+A))'"),
        d("tr(A*inv(X)*B*X)", "X", "-(inv(X)*B*X*A*inv(X))'+(A*inv(X)*B)'"),
    ),
    *identities(
        COOKBOOK + "2.5",
        "X: m x n; A: n x n; C: m x m, positive definite; B: m x m, symmetric",
        d("tr(inv(X'*C*X)*A)", "X", "-C*X*inv(X'*C*X)*(A+A')*inv(X'*C*X)"),
        d(
            "tr(inv(X'*C*X)*(X'*B*X))",
            "X",
            "2*B*X*inv(X'*C*X)-2*C*X*inv(X'*C*X)*X'*B*X*inv(X'*C*X)",
        ),
        d("tr(X'*B*X)", "X", "2*B*X", "2*kron(B,eye(n))", hessian_map="2*B*D", second="2*tr(D'*B*D)"),
    ),
    *identities(
        MINKA,
        "X: n x n, symmetric; A: n x n; B: n x n, symmetric",
        d("tr(A*X)", "X", "A'"),
        d("tr(B*X)", "X", "B"),
        d("tr(X^2)", "X", "2*X"),
        d("tr(A*X^2)", "X", "X*A'+A'*X"),
        d("tr(B*X*B*X)", "X", "2*B*X*B"),
    ),
]

DETERMINANTS = [
    *identities(
        COOKBOOK + "2.1",
        "X: n x n; A: n x n; B: n x n",
        d(
            "det(X)",
            "X",
            "det(X)*inv(X)'",
            hessian_map="det(X)*(tr(inv(X)*D)*inv(X)'-inv(X)'*D'*inv(X)')",
            second="det(X)*(tr(inv(X)*D)^2-tr(inv(X)*D*inv(X)*D))",
        ),
        d("det(A*X*B)", "X", "det(A*X*B)*inv(X)'"),
        d("det(X)^2", "X", "2*det(X)^2*inv(X)'"),
        d("det(X^3)", "X", "3*det(X)^3*inv(X)'"),
        d("det(inv(X))", "X", "-inv(X)'/det(X)"),
        d("sqrt(det(X))", "X", "sqrt(det(X))/2*inv(X)'"),
        d("det(X)*tr(X)", "X", "det(X)*tr(X)*inv(X)'+det(X)*eye(n)"),
        d("det(X+A)", "X", "det(X+A)*inv(X+A)'"),
        d("log(det(X))", "X", "inv(X)'", hessian_map="-inv(X)'*D'*inv(X)'", second="-tr(inv(X)*D*inv(X)*D)"),
        d("logdet(X)", "X", "inv(X)'", hessian_map="-inv(X)'*D'*inv(X)'", second="-tr(inv(X)*D*inv(X)*D)"),
        d("log(det(inv(X)))", "X", "-inv(X)'"),
        d("logdet(A*X*B)", "X", "inv(X)'"),
        d("logdet(X+A)", "X", "inv(X+A)'"),
        d("logdet(eye(n)+A*X)", "X", "A'*inv(eye(n)+A*X)'"),
    ),
    *identities(
        COOKBOOK + "2.1",
        "X: m x n; A: m x m, positive definite; B: m x m",
        d("det(X'*A*X)", "X", "2*det(X'*A*X)*A*X*inv(X'*A*X)"),
        d("det(X'*B*X)", "X", "det(X'*B*X)*(B*X*inv(X'*B*X)+B'*X*inv(X'*B'*X))"),
        d("det(X'*X)", "X", "2*det(X'*X)*X*inv(X'*X)"),
        d("logdet(X'*X)", "X", "2*X*inv(X'*X)"),
        d("logdet(X'*A*X)", "X", "2*A*X*inv(X'*A*X)"),
        d("logdet(eye(n)+X'*X)", "X", "2*X*inv(eye(n)+X'*X)"),
    ),
    *identities(
        MAGNUS + "10",
        "X: n x n, positive definite; S: n x n, symmetric",
        d("logdet(X)", "X", "inv(X)", hessian_map="-inv(X)*D'*inv(X)", second="-tr(inv(X)*D*inv(X)*D)"),
        d("det(X)", "X", "det(X)*inv(X)"),
        d("tr(S*X)-logdet(X)", "X", "S-inv(X)", second="tr(inv(X)*D*inv(X)*D)"),
        d("tr(inv(X)*S)+logdet(X)", "X", "inv(X)-inv(X)*S*inv(X)"),
    ),
    *identities(
        MAGNUS + "8",
        "A: n x n, positive definite; B: n x n; x: n; t: 1",
        d("logdet(A+x*x')", "x", "2*inv(A+x*x')*x"),
        d("logdet(A+t*B)", "t", "tr(inv(A+t*B)*B)", "-tr(inv(A+t*B)*B*inv(A+t*B)*B)"),
        d("det(eye(n)+t*B)", "t", "det(eye(n)+t*B)*tr(inv(eye(n)+t*B)*B)"),
        d("logdet(diag(exp(x)))", "x", "vector(1,n)", "matrix(0,n,n)"),
    ),
]

INVERSES = [
    *identities(
        COOKBOOK + "2.2",
        "X: n x n; a: n; b: n; A: k x n; B: n x k",
        d("inv(X)", "X", "-kron(inv(X),inv(X)')", linear="-inv(X)*D*inv(X)", second="2*inv(X)*D*inv(X)*D*inv(X)"),
        d("A*inv(X)*B", "X", linear="-A*inv(X)*D*inv(X)*B"),
        d(
            "a'*inv(X)*b",
            "X",
            "-inv(X)'*a*b'*inv(X)'",
            hessian_map="inv(X)'*D'*inv(X)'*a*b'*inv(X)'+inv(X)'*a*b'*inv(X)'*D'*inv(X)'",
            second="2*a'*inv(X)*D*inv(X)*D*inv(X)*b",
        ),
        d("sum(inv(X))", "X", "-inv(X)'*matrix(1,n,n)*inv(X)'"),
        d("inv(X)*b", "b", "inv(X)"),
        d("inv(X)*b", "X", "-kron(inv(X),(inv(X)*b)')", linear="-inv(X)*D*inv(X)*b"),
        d("det(X)*inv(X)", "X", linear="det(X)*(tr(inv(X)*D)*inv(X)-inv(X)*D*inv(X))"),
        d("norm2(inv(X)*b)^2", "X", "-2*inv(X)'*inv(X)*b*b'*inv(X)'"),
    ),
    *identities(
        MAGNUS + "9",
        "X: m x n; A: n x n; B: n x n; C: k x m; E: n x p; y: n; a: n; b: m; x: n; t: 1; K: k x k",
        d("C*X*E", "X", "kron(C,E')", linear="C*D*E"),
        d("X*a", "X", "kron(eye(m),a')", linear="D*a"),
        d("X'*b", "X", "kron(b',eye(n))", linear="D'*b"),
        d("X'", "X", linear="D'"),
        d("X'*X", "X", linear="D'*X+X'*D", second="2*D'*D"),
        d("X*X'", "X", linear="D*X'+X*D'", second="2*D*D'"),
        d("inv(X'*X)", "X", linear="-inv(X'*X)*(D'*X+X'*D)*inv(X'*X)"),
        d("A^2", "A", "kron(A,eye(n))+kron(eye(n),A')", linear="D*A+A*D", second="2*D*D"),
        d("A^3", "A", linear="D*A*A+A*D*A+A*A*D"),
        d("tr(A)*A", "A", linear="tr(D)*A+tr(A)*D", second="2*tr(D)*D"),
        d("diag(A)", "A", linear="diag(D)"),
        d("diag(x)", "x", linear="diag(D)"),
        d("x*x'", "x", linear="D*x'+x*D'", second="2*D*D'"),
        d("kron(K,X)", "X", linear="kron(K,D)"),
        d("exp(X)", "X", linear="exp(X).*D", second="exp(X).*D.*D"),
        d("inv(A+t*B)", "t", "-inv(A+t*B)*B*inv(A+t*B)", "2*inv(A+t*B)*B*inv(A+t*B)*B*inv(A+t*B)"),
        d("y'*inv(eye(n)+X'*X)*y", "X", "-2*X*inv(eye(n)+X'*X)*y*y'*inv(eye(n)+X'*X)"),
        d("y'*inv(X'*X+t*eye(n))*y", "t", "-y'*inv(X'*X+t*eye(n))*inv(X'*X+t*eye(n))*y"),
    ),
    *identities(
        MINKA,
        "A: n x n; S: n x n, positive definite; x: n; u: n; b: n",
        d("x'*inv(A)*x", "x", "(inv(A)+inv(A)')*x", "inv(A)+inv(A)'"),
        d("x'*inv(S)*x", "x", "2*inv(S)*x", "2*inv(S)"),
        d("x'*inv(A)*x", "A", "-inv(A)'*x*x'*inv(A)'"),
        d("x'*inv(S)*x", "S", "-inv(S)*x*x'*inv(S)", second="2*x'*inv(S)*D*inv(S)*D*inv(S)*x"),
        d("(x-u)'*inv(S)*(x-u)/2+logdet(S)/2", "u", "inv(S)*(u-x)", "inv(S)"),
        d("(x-u)'*inv(S)*(x-u)/2+logdet(S)/2", "S", "inv(S)/2-inv(S)*(x-u)*(x-u)'*inv(S)/2"),
        d("(x-u)'*S*(x-u)/2-logdet(S)/2", "S", "(x-u)*(x-u)'/2-inv(S)/2", second="tr(inv(S)*D*inv(S)*D)/2"),
        d("inv(A)*A*x", "x", "eye(n)"),
        d("inv(diag(x))*b", "x", "-diag(b./x.^2)"),
    ),
]

IDENTITIES = [*WORKED, *TRACES, *DETERMINANTS, *INVERSES, *VECTOR_IDENTITIES]
"""Every known answer; those after WORKED are the further ones."""
