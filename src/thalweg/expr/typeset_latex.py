from thalweg.expr.typeset import Formula
def latex(f: Formula) -> str:
    return f.text
def pretty(f: Formula) -> str:
    return f.text
