import re

import pytest

from thalweg.reports import constants_html, plan_html, solution_html
from thalweg.reports.tables import certificate, margin


def words(content):
    return " ".join(re.sub(r"<[^>]+>", " ", content).split())


def test_a_solution_says_what_its_text_form_says(make):
    text = words(solution_html(make()))
    assert "converged : nothing to do: the certificate is below the target" in text
    assert "f − f* ≤ 3.8e-16, proof (Fenchel gap of Newton&#x27;s dual point)" in text
    assert "9 steps, 104 passes over the data, 17.2 ms (16.9 ms of CPU)" in text


def test_a_plan_marks_the_winner_and_says_by_how_much(make):
    text = words(plan_html(make()["plan"]))
    assert "✓ chosen newton 9 6.3 to 14 15 ms 10.5 ms to 24 ms 14 7.69 kB few steps" in text
    assert "newton is predicted 1.8 times as fast as the runner-up, newton-cg" in text


def test_constants_come_with_where_they_are_from(make):
    text = words(constants_html(make()["constants"]))
    assert "κ 1.2e6 1.1e6 to 1.4e6 measured: Lanczos with 30 products at x = 0" in text
    assert "μ 0.001757 closed form: l2 everywhere" in text


@pytest.mark.parametrize("show", [solution_html, plan_html, constants_html])
def test_pieces_are_short_bare_and_survive_what_is_missing(make, show):
    record = make()
    piece = {solution_html: record, plan_html: record["plan"], constants_html: record["constants"]}[show]
    content = show(piece)
    assert content.startswith("<table>") and len(content) < 10_000
    assert not re.search(r"<(script|style|link|img)", content)
    assert show({}).startswith("<table>")
    assert "None" not in show({name: None for name in piece})


def test_text_in_a_piece_is_escaped():
    bad = "<script>alert(1)</script>"
    for content in (
        solution_html({"status": bad, "remedy": bad, "method": bad, "certificate": {"how": bad}}),
        plan_html({"rows": [{"method": bad, "why": bad, "chosen": True}]}),
        constants_html({bad: {"value": 1, "how": bad, "where": bad}}),
    ):
        assert "<script" not in content and "&lt;script&gt;" in content


def plan_of(*methods):
    names = ("method", "seconds", "seconds_low", "seconds_high", "chosen")
    return {"rows": [dict(zip(names, method, strict=True)) for method in methods]}


def test_the_margin_tells_a_sure_win_from_a_close_one_and_from_a_choice_against_the_figures():
    sure = margin(plan_of(("a", 1.0, 0.8, 1.2, True), ("b", 3.0, 2.0, 4.0, False)))
    assert sure == "a is predicted 3 times as fast as the runner-up, b: 1 s against 3 s."
    close = margin(plan_of(("a", 1.0, 0.8, 2.2, True), ("b", 3.0, 2.0, 4.0, False)))
    assert close.endswith("; their intervals overlap, so the margin is not certain.")
    against = margin(plan_of(("a", 4.0, 3.0, 5.0, True), ("b", 1.0, 0.5, 2.0, False)))
    assert against == "a was chosen although b is predicted 4 times as fast: 4 s against 1 s."
    assert margin(plan_of(("a", 1.0, 1.0, 1.0, True))) == ""
    assert margin(plan_of(("a", None, None, None, True), ("b", 1.0, 1.0, 1.0, False))) == ""


def test_a_certificate_without_a_bound_is_none():
    assert certificate({"gap": None, "kind": "proof", "how": "x"}) == "none (x)"
    assert certificate({"gap": 1e-3, "kind": "estimate"}) == "f − f* ≈ 0.001, estimate"
    assert certificate({}) == "none"
