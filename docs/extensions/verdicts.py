"""Roles and directives that insert what the reference runs found.

| in a page | what it becomes |
|---|---|
| `{verdict}` NAME = VERDICT | the verdict; without ` = VERDICT` whatever it is |
| `{estimate}` NAME | value and interval |
| `{value}` NAME | value alone; of `*` from lowest to highest |
| `{bar}`, `{reason}` SUITE ID | the bar, or why the verdict is what it is |
| `{printed}` SUITE ID | the number that the paper prints |
| `{count}` SUITE VERDICT | how many measurements have it |
| `{page}` SUITE | the suite's name, with a link to the page of its report |
| `{verdicts}` CLAIM | a table of what every reference run says of a claim |
| `{matrix}` | a table of all verdicts of the reference runs, with links to their pages |
| `{figures}` SUITE ID | the figures of a measurement, with captions |
| `{terminal}` SUITE ID | what `pytest claims/ -v` prints of a measurement |
| `{checked}` | comparisons and verdicts, one a line, on which the text depends; shows nothing |

Names are those of `records`.  What does not exist or does not hold is a warning, and
`sphinx-build -W` fails.

Pages and figures of reports are not in git: they are rendered into the output, from each
`verdict.json`, before the pages are read.
"""

from collections.abc import Callable
from os.path import relpath
from pathlib import Path
from typing import ClassVar

import records
from docutils import nodes
from docutils.parsers.rst.states import Inliner
from joblib import Parallel, delayed
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from polyrot.locations import VERDICTS
from polyrot.report.files import FIGURES, figure_file, write_renderings
from polyrot.report.terminal import table
from polyrot.report.words import interval
from polyrot.verdict.judge import worst_part

LOGGER = logging.getLogger(__name__)
RENDERED = "reports"
"""The folder of the output that holds what is rendered, a folder a suite."""


def render_reports(app: Sphinx) -> None:
    """Render the page and the figures of every report into the output."""
    Figures.reports = folder = Path(app.outdir) / RENDERED
    Parallel(n_jobs=-1)(
        delayed(write_renderings)(records.report(suite), folder / suite / VERDICTS)
        for suite in records.REPORTS
        if records.verdict_file(suite).is_file()
    )


def _count(name: str) -> str:
    suite, _, verdict = name.partition(" ")
    return str(sum(found == verdict for found in records.report(suite).verdicts.values()))


TEXTS: dict[str, Callable[[str], str]] = {
    "verdict": records.verdict_text,
    "estimate": records.estimate_text,
    "value": records.value_text,
    "bar": lambda name: records.record(name).bar,
    "reason": lambda name: records.record(name).reason,
    "printed": records.printed_text,
    "count": _count,
}


def _role(write: Callable[[str], str], kind: str) -> Callable[..., tuple[list[nodes.Node], list]]:
    def role(
        name: str,
        rawtext: str,
        text: str,
        lineno: int,
        inliner: Inliner,
        options: object = None,
        content: object = None,
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            written = write(" ".join(text.split()))
        except (LookupError, ValueError) as error:
            return [], [inliner.reporter.error(_said(error), line=lineno)]
        node = nodes.strong if kind == "verdict" else nodes.inline
        return [node(rawtext, written, classes=[kind])], []

    return role


def page_role(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Inliner,
    options: object = None,
    content: object = None,
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Link to the page of a suite's report, which `render_reports` writes."""
    try:
        records.report(text)
    except LookupError as error:
        return [], [inliner.reporter.error(_said(error), line=lineno)]
    up = "../" * inliner.document.settings.env.docname.count("/")
    uri = f"{up}{RENDERED}/{text}/index.html"
    shown = nodes.literal(text, text)
    return [nodes.reference(rawtext, "", shown, refuri=uri, internal=True)], []


class Verdicts(SphinxDirective):
    """A table: what every reference run says of a claim."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            found = records.verdicts_of(self.arguments[0])
        except LookupError as error:
            raise self.error(_said(error)) from None
        lines = ["| suite | measurement | verdict | estimate | bar |", "|---|---|---|---|---|"]
        for suite, record in found:
            part = worst_part(record.parts)
            where = f"{part.name}: " if len(record.parts) > 1 else ""
            lines.append(
                f"| `{suite}` | {record.id} | **{record.verdict}** "
                f"| {where}{interval(part.estimate)} | {record.quantity} {record.bar} |"
            )
        return self.parse_text_to_nodes("\n".join(lines))


class Matrix(SphinxDirective):
    """A table: the verdict of every measurement on every reference suite."""

    def run(self) -> list[nodes.Node]:
        by_suite = {suite: records.report(suite).verdicts for suite in records.REFERENCE}
        statements = {
            record.id: record.statement
            for suite in records.REFERENCE
            for record in records.report(suite).records
        }
        suites = " | ".join(f"{{page}}`{suite}`" for suite in by_suite)
        lines = [f"| measurement | statement | {suites} |", "|---" * (2 + len(by_suite)) + "|"]
        for id in sorted(statements):
            found = " | ".join(str(own.get(id, "")) for own in by_suite.values())
            lines.append(f"| {id} | {statements[id]} | {found} |")
        return self.parse_text_to_nodes("\n".join(lines))


class Figures(SphinxDirective):
    """The figures of a measurement, as they are in its report."""

    required_arguments = 2
    reports: ClassVar[Path]
    """The folder that they are rendered into."""

    def run(self) -> list[nodes.Node]:
        name = " ".join(self.arguments)
        try:
            record = records.drawn(name)
        except LookupError as error:
            raise self.error(_said(error)) from None
        folder = self.reports / self.arguments[0] / FIGURES
        here = Path(self.env.doc2path(self.env.docname)).parent
        shown: list[nodes.Node] = []
        for figure in record.figures:
            file = folder / figure_file(record, figure)
            image = nodes.image(
                uri=Path(relpath(file, here)).as_posix(), alt=f"{figure.title}. {figure.caption}"
            )
            caption = nodes.caption("", f"{figure.title}, {record.suite}. {figure.caption}")
            shown.append(nodes.figure("", image, caption))
        return shown


class Terminal(SphinxDirective):
    """What `pytest claims/ -v` prints of a measurement."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        try:
            record = records.record(" ".join(self.arguments))
        except LookupError as error:
            raise self.error(_said(error)) from None
        text = "\n".join(line for line, _ in table([record], verbosity=1))
        return [nodes.literal_block(text, text, language="text")]


class Checked(SphinxDirective):
    """Comparisons and verdicts on which the text around depends; nothing is shown."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        for line in self.content:
            try:
                records.check(" ".join(line.split()))
            except LookupError as error:
                raise self.error(_said(error)) from None
        return []


def _said(error: Exception) -> str:
    return str(error.args[0])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register roles and directives, and what renders the reports."""
    app.connect("builder-inited", render_reports)
    for name, write in TEXTS.items():
        app.add_role(name, _role(write, name))
    app.add_role("page", page_role)
    app.add_directive("verdicts", Verdicts)
    app.add_directive("matrix", Matrix)
    app.add_directive("figures", Figures)
    app.add_directive("terminal", Terminal)
    app.add_directive("checked", Checked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
