"""The docstrings under the fields of the domain's values, which know nothing of pydantic.

It would read them too, but has a file parsed anew for each of its classes: half a second of the start.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

Told = Mapping[tuple[str, str], Mapping[str, str]]
"""Of a module's and a class's name: of a field's."""


def sources(kinds: Iterable[type]) -> dict[str, str]:
    """The modules that these are in."""
    return {kind.__module__: inspect.getsource(sys.modules[kind.__module__]) for kind in kinds}


def docstrings(texts: Mapping[str, str]) -> Told:
    """Those of each class in these modules."""
    return {
        (module, node.name): dict(_of_fields(node.body))
        for module, text in texts.items()
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
    }


def _of_fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, told in pairwise(body):
        match field, told:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
