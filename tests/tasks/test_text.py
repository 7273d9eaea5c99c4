"""The text of Python's standard library: its documents, and which of them are held out."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from polyrot.tasks import text
from polyrot.tasks.text import Document, prose, standard_library


@pytest.mark.seconds
def test_documents_come_in_one_order_without_tables() -> None:
    standard_library.cache_clear()
    first = standard_library()
    standard_library.cache_clear()
    assert standard_library() == first
    sources = [d for d in first if not d.module.startswith("reference/")]
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [
        file.relative_to(root).parts
        for file in sorted(root.rglob("*.py"))
        if file.stat().st_size <= text.LARGEST_FILE
    ]
    names = [
        text._module(parts)
        for parts in files
        if parts[0] not in ("site-packages", "dist-packages", "encodings", "pydoc_data")
    ]
    remaining: Iterator[str] = iter(names)
    # Some files are not UTF-8; the others stand in the order of their paths.
    assert all(document.module in remaining for document in sources)
    assert len(names) - len(sources) < 20
    reference = [d.module for d in first[len(sources) :]]
    assert reference == sorted(reference)
    assert len(reference) > 50


@pytest.mark.parametrize(
    ("parts", "module"),
    [
        (("json", "decoder.py"), "json"),
        (("test", "test_json", "test_decode.py"), "json"),
        (("test", "test_json.py"), "json"),
        (("json.py",), "json"),
        (("_json.py",), "json"),
        (("test", "support", "os_helper.py"), "support"),
        (("test.py",), "test"),
        (("test", "__init__.py"), "__init__"),
    ],
)
def test_a_test_belongs_to_the_module_that_it_tests(parts: tuple[str, ...], module: str) -> None:
    name = text._module(parts)
    assert name.strip("_") == module.strip("_")


@pytest.mark.seconds
def test_a_module_is_held_out_with_its_tests() -> None:
    by_file = {}
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).parts
        by_file["/".join(parts)] = Document(text._module(parts), "").held_out
    for module in ("json", "asyncio", "email", "ctypes", "unittest", "importlib"):
        files = [
            held
            for name, held in by_file.items()
            if name.startswith((f"{module}/", f"test/test_{module}/"))
        ]
        assert len(files) >= 3  # some distributions leave the tests out
        assert len(set(files)) == 1
    assert 0.04 < np.mean([document.held_out for document in standard_library()]) < 0.3


def test_prose_is_docstrings_or_the_reference() -> None:
    source = '"""Of the module."""\ndef f():\n    """Of f."""\n    "no docstring"\nx = """no"""\n'
    assert list(prose(Document("m", source))) == ["Of the module.", "Of f."]
    assert list(prose(Document("m", "def f(:\n"))) == []
    assert list(prose(Document("m", "x = '\\d'\n'''doc'''\n"))) == []
    assert list(prose(Document("reference/if", "An *if* statement."))) == ["An *if* statement."]
