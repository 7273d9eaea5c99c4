"""The files of a run: JSON, Markdown, and a plot for each group."""

import json
from collections.abc import Sequence
from pathlib import Path

from harness import table, units
from harness.plots import plot
from harness.recorded import recorded
from harness.roofline import ceilings_sentence, sentence
from harness.rows import GroupFacts, Results, base, ratios, short
from polyrot.files import write_atomically


def committed(folder: Path, device: str) -> Results | None:
    """Read the results that are kept for a device, if there are any."""
    path = folder / f"{device}.json"
    return Results.from_json(json.loads(path.read_text())) if path.exists() else None


def write(results: Results, folder: Path, verdicts: Path) -> list[Path]:
    """Write everything about a run; return the paths.

    `verdicts` is the folder of the committed reports, which know how long they took.
    """
    paths = []
    for facts in results.groups:
        rows = [row for row in results.of(facts.name) if row.plotted]
        if len({row.size for row in rows}) > 1:
            path = folder / _plot_name(results, facts)
            write_atomically(path, lambda p, f=facts, r=rows: plot(f, r, p))
            paths.append(path)
    text = json.dumps(results.to_json(), indent=1) + "\n"
    page = markdown(results, {path.name for path in paths}, recorded(verdicts))
    for name, content in ((f"{results.device}.json", text), (f"{results.device}.md", page)):
        write_atomically(folder / name, lambda p, content=content: p.write_text(content))
        paths.append(folder / name)
    return paths


def markdown(results: Results, plots: set[str], appendix: Sequence[str] = ()) -> str:
    """Render the page of a run."""
    lines = [f"# Benchmarks on {results.device}", "", *_provenance(results), ""]
    for facts in results.groups:
        rows = results.of(facts.name)
        if not rows:
            continue
        lines += [f"## {facts.title}", "", f"Time per {facts.unit}. Error: {facts.error}."]
        lines += [facts.note] if facts.note else []
        lines += ["", *table.markdown(facts, rows), ""]
        lines += _below(results, facts)
        if _plot_name(results, facts) in plots:
            lines += [f"![{facts.title}]({_plot_name(results, facts)})", ""]
    return "\n".join([*lines, *appendix]).rstrip() + "\n"


def _provenance(results: Results) -> list[str]:
    machine = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    threads = ", ".join(f"{key} {value}" for key, value in results.threads.items())
    versions = ", ".join(f"{key} {value}" for key, value in results.versions.items())
    asked = [row for row in results.rows if row.at_least is not None]
    asked = [row for row in asked if row.key in ratios(results.rows)]
    below = short(results.rows)
    return [
        f"{len(asked) - len(below)} of {len(asked)} ratios are what was asked for. "
        f"Ratio: median time of the contender over that of the row in bold, on the same data in "
        f"the same run; `n` rounds. {_sentence_case(ceilings_sentence(results.ceilings))}.",
        "",
        f"- date {results.date}, commit {results.commit}"
        + (", with --full" if results.full else ""),
        f"- machine: {machine}",
        f"- threads: {threads}",
        f"- versions: {versions}",
    ]


def _sentence_case(text: str) -> str:
    """Begin with a capital, and leave the units as they are."""
    return text[:1].upper() + text[1:]


def _below(results: Results, facts: GroupFacts) -> list[str]:
    """What stands under a table: notes, growth, and how far short rows are from the ceilings."""
    rows = results.of(facts.name)
    notes = (f"- {row.contender}: {row.note}" for row in rows if row.note)
    lines = list(dict.fromkeys(notes))
    exponents = table.growth(rows)
    if exponents:
        grows = ", ".join(f"{name} {units.digits(e)}" for name, e in exponents.items())
        lines.append(f"- exponent of the time in {facts.axis}, two largest sizes: {grows}")
    ours = dict.fromkeys(base(row, rows) for row in short(rows))
    lines += [f"- short: {sentence(row, results.ceilings)}" for row in ours if row is not None]
    return [*lines, ""] if lines else []


def _plot_name(results: Results, facts: GroupFacts) -> str:
    return f"{results.device}-{facts.name}.svg"
