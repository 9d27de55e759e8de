"""What of the Graph SDK counts as reached: on a small SDK of our own, and on the real one."""

import ast
from collections.abc import Iterable

import pytest

from local.package.build import Package, installed
from local.package.errors import PackageError
from local.package.reach import GENERATED, SDK, Library, Reach, trimmed
from local.package.start import imported_at_start

CLIENT = """
from __future__ import annotations
from kiota_abstractions.base_request_builder import BaseRequestBuilder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .drives.drives_request_builder import DrivesRequestBuilder

class Client(BaseRequestBuilder):
    @property
    def users(self):
        from .users.users_request_builder import UsersRequestBuilder
        return UsersRequestBuilder(self.request_adapter)

    @property
    def drives(self):
        from .drives.drives_request_builder import DrivesRequestBuilder
        return DrivesRequestBuilder(self.request_adapter)
"""
USERS = """
from kiota_abstractions.base_request_builder import BaseRequestBuilder

class UsersRequestBuilder(BaseRequestBuilder):
    def get(self):
        from ..models.user import User
        return self.ask(User)

    def ask(self, kind):
        from ..models.error import Error
        return Error, kind

    def count(self):
        from ..models.number import Number
        return Number
"""
USER = """
from .entity import Entity

class User(Entity):
    def get_field_deserializers(self):
        from .entity import Entity
        from .photo import Photo

        # A comment, and a string that looks like one.
        text = '''
        # kept
        '''
        return {"photo": lambda n: n.get_object_value(Photo), "text": text}

    def unmentioned(self):
        from .extra import Extra
        return Extra
"""
ENTITY = '''
class Entity:
    """An entity."""

    def get_field_deserializers(self):
        """Words."""
        from .heir import Heir
        from .loud import Loud

        return {}
'''
SMALL = {
    "msgraph/__init__.py": "",
    "msgraph/generated/client.py": CLIENT,
    "msgraph/generated/users/users_request_builder.py": USERS,
    "msgraph/generated/drives/drives_request_builder.py": USERS.replace("Users", "Drives"),
    "msgraph/generated/models/user.py": USER,
    "msgraph/generated/models/entity.py": ENTITY,
    "msgraph/generated/models/photo.py": "class Photo: ...",
    "msgraph/generated/models/extra.py": "class Extra: ...",
    "msgraph/generated/models/error.py": "class Error: ...",
    "msgraph/generated/models/number.py": "class Number: ...",
    "msgraph/generated/models/heir.py": "class Heir:\n    kind = 1\n",
    "msgraph/generated/models/loud.py": "class Loud: ...\nregister(Loud)\n",
    "kiota/serialization.py": "import kiota_abstractions\ndef f(x): x.get_field_deserializers()",
}


@pytest.fixture(scope="module")
def library() -> Library:
    """The SDK as published."""
    files = installed(say=lambda _: None)
    return Library({path: text for path, text in files.items() if path.startswith("msgraph/")})


IMPORT = "from msgraph.generated.client import Client\n"


def small() -> Library:
    return Library({path: text.encode() for path, text in SMALL.items()})


def reached(*app: str) -> set[str]:
    texts = {f"shared/{i}.py": text.encode() for i, text in enumerate(app)}
    return {m.removeprefix(GENERATED) for m in Reach(small(), texts).modules} - {SDK}


def test_a_segment_that_nobody_mentions_is_left_out() -> None:
    assert reached(IMPORT) == {"client"}


def test_mentioning_a_segment_brings_its_builder_alone() -> None:
    assert reached(IMPORT + "Client().users") == {"client", "users.users_request_builder"}


@pytest.mark.parametrize(
    "asked", ["x.users.get()", "getattr(getattr(x, 'users'), 'get')", "attrgetter('users.get')(x)"]
)
def test_calling_it_brings_what_the_call_needs_and_no_more(asked: str) -> None:
    assert reached(IMPORT, asked) == {
        "client",
        "users.users_request_builder",
        "models.user",
        "models.entity",
        "models.photo",
        "models.extra",
        "models.error",
        "models.loud",
    }


def test_a_module_imported_by_its_name_in_a_string_counts() -> None:
    assert reached("import_module('msgraph.generated.models.photo')") == {"models.photo"}


def test_an_import_inside_a_function_of_the_app_counts() -> None:
    assert reached("def f():\n    from msgraph.generated.models import photo") == {"models.photo"}


def test_an_import_that_cannot_be_followed_stops_the_build() -> None:
    with pytest.raises(PackageError, match=r"import \*` cannot be followed; name names"):
        reached("from msgraph.generated.client import *")


def test_idle_imports_go_where_the_module_does_nothing_but_define_classes() -> None:
    library = small()

    assert b"Heir" not in trimmed(library, "msgraph.generated.models.entity")
    assert b"from .loud import Loud" in trimmed(library, "msgraph.generated.models.entity")


def test_trimming_keeps_line_numbers_and_what_only_looks_like_a_comment() -> None:
    library = small()

    text = trimmed(library, "msgraph.generated.models.user").decode()

    assert text.splitlines()[6:13] == [
        "        from .photo import Photo",
        "",
        "",
        "        text = '''",
        "        # kept",
        "        '''",
        '        return {"photo": lambda n: n.get_object_value(Photo), "text": text}',
    ]


def test_a_new_segment_in_the_app_makes_the_real_package_grow_by_itself(
    package: Package, library: Library
) -> None:
    planner = "msgraph.generated.planner.planner_request_builder"
    assert planner in package.left_out
    app = {p: text for p, text in package.files.items() if p.startswith(("shared/", "function_"))}

    before = Reach(library, app).modules
    more = b"from msgraph import GraphServiceClient\ndef f(client): client.planner.get()"
    after = Reach(library, app | {"shared/more.py": more}).modules

    assert after > before
    assert planner in after - before


def test_nothing_but_idle_imports_and_words_was_taken_from_the_real_sdk(
    package: Package, library: Library
) -> None:
    site = ".python_packages/lib/site-packages/"
    changed = 0
    for module in library.modules():
        shipped = package.files.get(site + library.path(module))
        original = library.text(module)
        if shipped is None or shipped == original:
            continue
        changed += 1
        assert module.startswith(GENERATED)
        dropped = {imported.line for imported in library.idle(module)}
        expected = _without(ast.parse(original), dropped)
        assert ast.dump(ast.parse(shipped)) == ast.dump(expected), module
    assert changed > 0


def _without(tree: ast.Module, lines: Iterable[int]) -> ast.Module:
    """The tree without the imports on these lines and without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is not None and len(node.body) > 1:
                del node.body[0]
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.ImportFrom) and statement.lineno in lines)
            ]
    return tree


def test_starting_follows_a_modules_own_getattr() -> None:
    library = Library(
        {
            "app.py": b"from pack import Lazy",
            "pack/__init__.py": b"def __getattr__(_):\n    from .lazy import Lazy\n",
            "pack/lazy.py": b"Lazy = 1",
            "pack/other.py": b"",
        }
    )

    assert imported_at_start(library, ["app"]) == {"app", "pack", "pack.lazy"}
