"""Gate failures as annotations of a GitHub Actions job.

The runner reads these lines from a step's output.  It shows each with the run and, if the line
names a file that a pull request changes, in the diff too.  It shows only the first ten errors and
ten notices of a step, so the worst come first.

References:
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from collections.abc import Iterator, Mapping, Sequence

from polyrot.verdict.policy import UNDECIDED, Failure, Policy, name_of, worst_first
from polyrot.verdict.record import Record

Places = Mapping[tuple[str, str], tuple[str, int]]
"""By suite and measurement, the file and the line of its test."""


def annotations(
    records: Sequence[Record], policy: Policy, failures: Sequence[Failure], places: Places
) -> Iterator[str]:
    """Yield an `::error` for each failure, a `::notice` for each undecided verdict that passes.

    There are no notices if the run is compared with recorded verdicts.
    """
    for failure in failures:
        yield _command("error", failure.id, failure.suite, failure.why, places)
    failed = {(failure.suite, failure.id) for failure in failures}
    for record in worst_first(records):
        undecided = record.verdict in UNDECIDED and (record.suite, record.id) not in failed
        if undecided and not policy.expected:
            sentence = f"{record.verdict}: {record.reason}"
            yield _command("notice", record.id, record.suite, sentence, places)


def _command(level: str, id: str, suite: str, message: str, places: Places) -> str:
    properties = {"title": name_of(id, suite)}
    if place := places.get((suite, id)):
        file, line = place
        properties = {"file": file, "line": str(line), **properties}
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {listed}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
