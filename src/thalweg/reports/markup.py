"""HTML by construction: text is escaped where it enters, and nothing else can become a tag."""

from __future__ import annotations

import html
import json
from typing import Any


class Markup(str):
    """Text that is HTML already; made by this module alone."""

    __slots__ = ()


_VOID = frozenset({"meta", "link", "input", "br"})


def text(content: Any) -> Markup:
    """Any content as escaped text; markup passes as it is."""
    return content if isinstance(content, Markup) else Markup(html.escape(str(content)))


def join(*contents: Any) -> Markup:
    """Contents one after another; None adds nothing."""
    return Markup("".join(text(content) for content in contents if content is not None))


def tag(element: str, /, *contents: Any, **attributes: Any) -> Markup:
    """An element.

    Args:
        element: Its tag.
        *contents: Markup, text to escape, or None for nothing.
        **attributes: `class_` and `for_` lose their underscore, others turn `_` into `-`; True stands for a bare
            attribute; None and False leave it out.

    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if element in _VOID:
        return Markup(f"<{element}{written}>")
    return Markup(f"<{element}{written}>{join(*contents)}</{element}>")


def trusted(source: str) -> Markup:
    """Style or script that ships with Thalweg or its plotting library, checked not to end its own element.

    Raises:
        ValueError: If it holds a closing tag or a comment's opening, which would.

    """
    lowered = source.lower()
    if "</script" in lowered or "</style" in lowered or "<!--" in lowered:
        raise ValueError("the source would end the element that holds it")
    return Markup(source)


def json_text(value: Any) -> Markup:
    """JSON for a script element: no character of it can end the element or begin a comment."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        body = body.replace(character, f"\\u{ord(character):04x}")
    return Markup(body)
