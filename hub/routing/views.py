"""What one connection may see of an event: the fields that its declaration names, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

Tree = dict[str, Any]  # member -> the part below it that is granted; an empty tree grants all of it


def tree_of(pointers: Sequence[str]) -> Tree:
    """JSON pointers (RFC 6901) as a tree. A pointer grants all that lies under it; lists are walked through, with or
    without a `*` or a number in the pointer, which outside a list are names like any other."""
    root: Tree = {}
    whole: set[int] = set()
    for pointer in sorted(pointers, key=len):
        node = root
        for part in _parts(pointer):
            if id(node) in whole:
                break
            node = node.setdefault(part, {})
        else:
            node.clear()
            whole.add(id(node))
    return root


@lru_cache(maxsize=4096)
def granted_tree(pointers: tuple[str, ...]) -> Tree:
    """As `tree_of`, made once for all that are granted the same. Not to be changed."""
    return tree_of(pointers)


def project(data: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    """The granted part of `data`. An empty tree at the root grants nothing."""
    return {name: _granted(data[name], below) for name, below in tree.items() if name in data}


def _granted(value: Any, tree: Tree) -> Any:
    if not tree:
        return value
    if isinstance(value, Mapping):
        return project(value, tree)
    if isinstance(value, list):
        below = _of_items(tree)
        return [_granted(item, below) for item in value]
    return None  # a pointer into something that has no members grants nothing of it


def _of_items(tree: Tree) -> Tree:
    """What is granted of each item of a list: a place in it stands for all of them."""
    merged: Tree = {}
    for name, below in tree.items():
        if name != "*" and not name.isdigit():
            merged = _merged(merged, {name: below})
        elif not below:
            return {}
        else:
            merged = _merged(merged, _of_items(below))
    return merged


def _merged(one: Tree, other: Tree) -> Tree:
    """What either grants; an empty tree below a name grants all of it."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        both[name] = _merged(one[name], other[name]) if one[name] and other[name] else {}
    return both


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
