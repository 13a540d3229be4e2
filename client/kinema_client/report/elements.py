"""HTML and SVG as a tree, so that no text of a film's can become markup."""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """Make an element.

    Names of attributes are given with `_` for `-`; a trailing one is dropped, as in `class_`. What is None is left out.
    """
    told = {name: value for name, value in attributes.items() if value is not None}
    made = Element(tag, {name.rstrip("_").replace("_", "-"): _clean(str(value)) for name, value in told.items()})
    append(made, children)
    return made


def append(parent: Element, children: Iterable[Child]) -> None:
    """Put text and elements behind what `parent` holds."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + _clean(child)
        else:
            parent.text = (parent.text or "") + _clean(child)


def page_bytes(root: Element) -> bytes:
    """Write a page as UTF-8; what a file name holds besides text becomes question marks."""
    html = tostring(root, encoding="unicode", method="html", short_empty_elements=False)
    return ("<!doctype html>\n" + html + "\n").encode("utf-8", "replace")


def _clean(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
