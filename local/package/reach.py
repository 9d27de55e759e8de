"""
What of the Graph SDK the app can reach.

Followed are imports: those of the app, of what they lead to, and so on, also those inside
functions. One thing is not followed blindly. A request builder imports the builders of its
segments when they are asked for (`client.users` imports the users'), and the root has all of
Graph's. A method of a builder can run only where somebody mentions its name. So it counts as
reached if its name is mentioned: by the app, by the libraries that know builders, or by a method
of the same module that is reached. The root itself counts only where the app names it. Names are
matched with no regard to types. That takes in more
than is called, and never less.

An *idle* import is one inside a function that never uses the name: it loads a module and nothing
else. The generated models are full of them (each field's type once for nothing; the base class of
all entities imports twelve hundred heirs, two seconds of the first call to Graph).
They are not followed, and `trimmed` gives the source without them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from local.package import sources
from local.package.errors import PackageError
from local.package.sources import Function, Import, Source

SDK: Final = "msgraph"
GENERATED: Final = "msgraph.generated."
_ROOT_BUILDER: Final = "BaseRequestBuilder"
_CLIENT: Final = "GraphServiceClient"
_CLIENT_MODULES: Final = frozenset(
    {"msgraph.graph_service_client", "msgraph.generated.base_graph_service_client"}
)
"""Imported with the SDK itself; their methods run only where the app makes such a client."""


class Library:
    """The modules of a site-packages folder, given as files; each is read once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._paths = {name: path for path in files for name in _names(path)}
        self._read: dict[str, Source] = {}

    def __contains__(self, module: str) -> bool:
        return module in self._paths

    def path(self, module: str) -> str:
        return self._paths[module]

    def text(self, module: str) -> bytes:
        return self._files[self._paths[module]]

    def modules(self) -> Iterator[str]:
        return iter(self._paths)

    def source(self, module: str) -> Source:
        if module not in self._read:
            self._read[module] = sources.read(self.text(module), package=self.package(module))
        return self._read[module]

    def package(self, module: str) -> str:
        if self._paths[module].endswith("/__init__.py"):
            return module
        return module.rpartition(".")[0]

    def idle(self, module: str) -> frozenset[Import]:
        """
        Imports in functions that only load their module, where loading it does nothing else.
        """
        if not module.startswith(GENERATED):
            return frozenset()
        found = {
            (imported.line, imported)
            for function in self.source(module).functions
            for imported in function.imports
            if not function.uses(imported) and self._is_quiet(imported.module)
        }
        # A line that also imports something in use stays as it is.
        used = {
            imported.line
            for function in self.source(module).functions
            for imported in function.imports
            if (imported.line, imported) not in found
        }
        return frozenset(imported for line, imported in found if line not in used)

    def _is_quiet(self, module: str) -> bool:
        return module.startswith(GENERATED) and module in self and self.source(module).quiet


class Reach:
    """Modules of the SDK that the app can reach."""

    def __init__(self, library: Library, app: Mapping[str, bytes]) -> None:
        self._library = library
        self.modules: set[str] = set()
        self._builders = {_ROOT_BUILDER}
        self._dormant: dict[str, list[tuple[str, Function]]] = {}
        """Methods of builders, by name, that nobody has mentioned so far."""
        self._mentioned: set[str] = set()
        texts = [text for path, text in app.items() if path.endswith(".py")]
        self._has_client = any(_CLIENT.encode() in text for text in texts)
        for text in (*texts, *self._knowers()):
            self._mention(sources.mentions(text))
        for text in texts:
            for imported in sources.all_imports(text, package=""):
                self._follow(imported)
            for spelled in sources.strings(text):
                self._enter(spelled)

    def _knowers(self) -> Iterator[bytes]:
        """Libraries beside the SDK that import its foundations, and so may hold a builder."""
        for module in self._library.modules():
            if not module.startswith(SDK + "."):
                text = self._library.text(module)
                if b"kiota_" in text or b"msgraph" in text:
                    yield text

    def _mention(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._mentioned:
                self._mentioned.add(name)
                for module, function in self._dormant.pop(name, ()):
                    self._run(module, function)

    def _follow(self, imported: Import) -> None:
        if imported.name == "*" and imported.module.startswith(SDK):
            raise PackageError(f"`from {imported.module} import *` cannot be followed; name names")
        self._enter(imported.module)
        self._enter(f"{imported.module}.{imported.name}")

    def _enter(self, module: str) -> None:
        """Importing a module imports the packages above it first."""
        if module.partition(".")[0] != SDK:
            return
        steps = module.split(".")
        for depth in range(1, len(steps) + 1):
            name = ".".join(steps[:depth])
            if name in self._library and name not in self.modules:
                self.modules.add(name)
                self._load(name)

    def _load(self, module: str) -> None:
        source = self._library.source(module)
        for imported in source.imports:
            self._follow(imported)
        for name, bases in source.bases.items():
            if self._builders & set(bases):
                self._builders.add(name)
        awake = []
        for function in source.functions:
            dunder = function.name.startswith("__")
            if module in _CLIENT_MODULES and not self._has_client and not dunder:
                continue
            if function.owner not in self._builders or dunder or function.name in self._mentioned:
                awake.append(function)
            else:
                self._dormant.setdefault(function.name, []).append((module, function))
        # Only now, or one could ask for a method of its module that is not yet known.
        for function in awake:
            self._run(module, function)

    def _run(self, module: str, function: Function) -> None:
        idle = self._library.idle(module)
        for imported in function.imports:
            if imported not in idle:
                self._follow(imported)
        if function.owner in self._builders:
            self._mention(function.attributes)
            if self._library.source(module).bases[function.owner] == (_ROOT_BUILDER,):
                self._wake(module, function.own_attributes)
            else:
                self._mention(function.own_attributes)

    def _wake(self, module: str, names: Iterable[str]) -> None:
        """What a method asks of itself stands in its own module, where no builder is above it."""
        for name in names:
            waiting = self._dormant.get(name, [])
            mine = [function for place, function in waiting if place == module]
            self._dormant[name] = [pair for pair in waiting if pair[0] != module]
            for function in mine:
                self._run(module, function)


def trimmed(library: Library, module: str) -> bytes:
    """
    The module's source without idle imports, docstrings and comments.

    Every line that stays keeps its number, so that a traceback fits the SDK as published.
    """
    source = library.source(module)
    idle = {n for i in library.idle(module) for n in range(i.line, i.last_line + 1)}
    blank, kept = idle | source.docstrings, source.in_strings
    return b"\n".join(
        b"" if n in blank or (line.lstrip().startswith(b"#") and n not in kept) else line
        for n, line in enumerate(library.text(module).split(b"\n"), start=1)
    )


def _names(path: str) -> Iterator[str]:
    if path.endswith("/__init__.py"):
        yield path.removesuffix("/__init__.py").replace("/", ".")
    elif path.endswith(".py"):
        yield path.removesuffix(".py").replace("/", ".")
