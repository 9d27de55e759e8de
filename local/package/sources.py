"""
What a module of Python imports, and where it says so, read from its source.

Imports are told apart by what runs them: importing the module, or calling one of its functions. An
import under `if TYPE_CHECKING` runs never.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

# With one of these in it, a function may use a name that it does not mention.
_REFLECTION: Final = frozenset({"eval", "exec", "globals", "locals", "vars"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    module: str
    name: str
    """The name taken from the module; empty for `import module`."""
    bound: str
    line: int
    last_line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    name: str
    owner: str
    """The class that it stands in; empty for a function of the module."""
    imports: tuple[Import, ...]
    names: frozenset[str]
    """Names that its body mentions."""
    attributes: frozenset[str]
    own_attributes: frozenset[str]
    """Attributes that it takes from self."""

    def uses(self, found: Import) -> bool:
        return found.bound in self.names or bool(self.names & _REFLECTION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    imports: tuple[Import, ...]
    """Those that importing the module runs."""
    functions: tuple[Function, ...]
    bases: dict[str, tuple[str, ...]]
    """For each class, the names of its bases."""
    quiet: bool
    """Importing it does no more than import and define classes."""
    docstrings: frozenset[int]
    """The lines of docstrings, but of those that are all of a body."""
    in_strings: frozenset[int]
    """Lines that a string goes on over: what looks like a comment there is none."""


@dataclass(slots=True)
class _Reader:
    package: str
    imports: list[Import] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    bases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quiet: bool = True
    docstrings: set[int] = field(default_factory=set)
    in_strings: set[int] = field(default_factory=set)

    def module(self, body: list[ast.stmt]) -> None:
        self._words(body)
        for statement in _that_run(body):
            self.imports += _imports([statement], self.package, functions=False)
            if not self._definition(statement, "") and not _does_nothing(statement):
                self.quiet = False

    def _class(self, found: ast.ClassDef) -> None:
        self.bases[found.name] = tuple(ast.unparse(base) for base in found.bases)
        self._words(found.body)
        for statement in found.body:
            if not self._definition(statement, found.name):
                self._strings(list(ast.walk(statement)))
                plain = isinstance(statement, ast.Assign | ast.AnnAssign | ast.Pass)
                if not plain and not _is_docstring(statement):
                    self.quiet = False

    def _definition(self, statement: ast.stmt, owner: str) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.functions.append(self._function(statement, owner))
        elif isinstance(statement, ast.ClassDef):
            self._class(statement)
        else:
            return False
        return True

    def _function(self, found: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> Function:
        self._words(found.body)
        nodes = [node for statement in found.body for node in ast.walk(statement)]
        self._strings(nodes)
        taken = [node for node in nodes if isinstance(node, ast.Attribute)]
        return Function(
            name=found.name,
            owner=owner,
            imports=tuple(_imports(found.body, self.package, functions=True)),
            names=frozenset(node.id for node in nodes if isinstance(node, ast.Name)),
            attributes=frozenset(node.attr for node in taken if not _is_self(node.value)),
            own_attributes=frozenset(node.attr for node in taken if _is_self(node.value)),
        )

    def _words(self, body: list[ast.stmt]) -> None:
        """A docstring that is all of a body must stay, or there would be no body."""
        if len(body) > 1 and _is_docstring(body[0]):
            self.docstrings.update(_lines(body[0]))

    def _strings(self, nodes: list[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.Constant | ast.JoinedStr) and node.lineno != node.end_lineno:
                self.in_strings.update(_lines(node))


def read(text: bytes, *, package: str) -> Source:
    """Read a module that stands in *package*."""
    reader = _Reader(package)
    reader.module(ast.parse(text).body)
    return Source(
        imports=tuple(reader.imports),
        functions=tuple(reader.functions),
        bases=reader.bases,
        quiet=reader.quiet,
        docstrings=frozenset(reader.docstrings),
        in_strings=frozenset(reader.in_strings),
    )


def all_imports(text: bytes, *, package: str) -> tuple[Import, ...]:
    """Every import of a module, whatever runs it."""
    return tuple(_imports(ast.parse(text).body, package, functions=True))


def mentions(text: bytes) -> frozenset[str]:
    """
    Every attribute that a module could ask an object for: as code, or spelled in a string, as
    getattr and attrgetter take it.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(step for step in node.value.split(".") if step.isidentifier())
    return frozenset(found)


def strings(text: bytes) -> frozenset[str]:
    """Every string in a module: one may be a module's name, to be imported by it."""
    nodes = ast.walk(ast.parse(text))
    return frozenset(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _that_run(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
            yield from statement.orelse
        else:
            yield statement


def _imports(body: list[ast.stmt], package: str, *, functions: bool) -> Iterator[Import]:
    """The imports in *body* at any depth; those inside functions and classes only if asked for."""
    for statement in _that_run(body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield _import(statement, alias.name, "", alias.asname or alias.name.split(".")[0])
        elif isinstance(statement, ast.ImportFrom):
            module = _absolute(statement, package)
            for alias in statement.names:
                yield _import(statement, module, alias.name, alias.asname or alias.name)
        elif functions or not isinstance(
            statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield from _imports(_inner(statement), package, functions=functions)


def _import(statement: ast.stmt, module: str, name: str, bound: str) -> Import:
    return Import(
        module=module,
        name=name,
        bound=bound,
        line=statement.lineno,
        last_line=statement.end_lineno or statement.lineno,
    )


def _inner(statement: ast.stmt) -> list[ast.stmt]:
    return [
        inner
        for name in ("body", "orelse", "finalbody", "handlers", "cases")
        for inner in getattr(statement, name, [])
    ]


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    above = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*above, statement.module] if statement.module else above)


def _does_nothing(statement: ast.stmt) -> bool:
    """Nothing but to import, or to say something."""
    return isinstance(statement, ast.Import | ast.ImportFrom) or _is_docstring(statement)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _lines(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"
