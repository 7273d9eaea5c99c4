"""Every example that a reader can copy runs: of docstrings, of the pages and of the README."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import polyrot as pr

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

NEEDS = {
    "scale.md": lambda: {
        "pr": pr,
        "chunks": [(x, x.flip(1), i % 4 == 0) for i, x in enumerate(torch.randn(8, 64, 4))],
    }
}
"""What a page speaks of and does not make."""


def docstring_examples() -> Iterator[doctest.DocTest]:
    """Those of every module of the package in whose source one stands."""
    for module in pkgutil.walk_packages(pr.__path__, "polyrot."):
        spec = importlib.util.find_spec(module.name)
        if ">>> " in Path(str(spec and spec.origin)).read_text():
            found = doctest.DocTestFinder().find(importlib.import_module(module.name))
            yield from (own for own in found if own.examples)


def page_examples() -> Iterator[Any]:
    """Those of every page; what one block makes, the next ones of the page have.

    Blocks whose first line names a file make a package: `test_add_a_paper` runs those.
    """
    for page in PAGES:
        blocks = re.findall(
            r"^```python\n(?!# \S+\.py\n)(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
        )
        if blocks:
            yield pytest.param(page, blocks, id=page.name)


DOCSTRINGS = list(docstring_examples())


def run(example: doctest.DocTest) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    assert not result.failed, "".join(said)


@pytest.mark.parametrize("example", DOCSTRINGS, ids=lambda example: example.name)
def test_the_example_of_a_docstring(example: doctest.DocTest) -> None:
    run(example)


@pytest.mark.parametrize(("page", "blocks"), list(page_examples()))
@pytest.mark.seconds
def test_the_examples_of_a_page(
    page: Path, blocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # as in the clone that the pages ask for
    names: dict[str, Any] = NEEDS.get(page.name, dict)()
    for block in blocks:
        if ">>> " in block:
            example = doctest.DocTestParser().get_doctest(block, names, page.name, str(page), 0)
            example.globs = names  # not a copy: the next block goes on
            said: list[str] = []
            runner = doctest.DocTestRunner(optionflags=OPTIONS)
            result = runner.run(example, out=said.append, clear_globs=False)
            assert not result.failed, "".join(said)
        else:
            exec(compile(block, str(page), "exec"), names)  # noqa: S102 - our own page


def test_an_example_that_is_wrong_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        run(wrong)


def public_names() -> Iterator[tuple[str, Any]]:
    """Everything of `polyrot`, and what is public in its modules."""
    for name in pr.__all__:
        if name not in ("haar", "bars", "cores", "__version__"):  # modules, of which below; a text
            yield name, getattr(pr, name)
    for module, names in (("haar", HAAR), ("bars", BARS), ("cores", pr.cores.__all__)):
        for name in names:
            yield f"{module}.{name}", getattr(getattr(pr, module), name)


HAAR = ("sample", "sample_eigenangles", "eigenangles", "test")
BARS = ("behavioural", "parametric", "causal", "predictive", "specification")


def test_every_public_name_is_explained_and_is_on_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    for name, found in public_names():
        text = (found.__doc__ or "").strip()
        assert len(text) > 20, f"{name} has no docstring"
        assert not text.startswith(f"{name}("), f"{name} has the docstring that dataclass made"
        assert re.search(rf":: polyrot\.{re.escape(name)}$", page, re.MULTILINE), name


def test_every_public_function_has_an_example() -> None:
    shown = {example.name.rpartition(".")[2] for example in DOCSTRINGS}
    assert {"align", "align_pairs", "bootstrap", "ev", "ev_published", "polar_factor"} <= shown
    assert {"nearest_signed_permutation", "load_suite"} <= shown
    assert {*HAAR, "Moments", "SAE", "TopK", "GroupTopK", "JumpReLU", "ReLU", "Alignment"} <= shown
