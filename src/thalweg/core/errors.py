"""Errors that say what was wrong, where, and what to do next."""

from __future__ import annotations


class ThalwegError(Exception):
    """Base of every error that Thalweg raises on purpose.

    Args:
        problem: What was wrong: the argument, row or column, and the value received.
        remedy: What to do next.

    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class InputError(ThalwegError, ValueError):
    """An argument, a file or a cell that cannot be used as it stands."""


class UnsupportedError(ThalwegError, TypeError):
    """An operation that Thalweg does not do; it never returns a plausible number instead."""


class OracleError(ThalwegError, TypeError):
    """A method asks for an oracle that the problem does not have."""
