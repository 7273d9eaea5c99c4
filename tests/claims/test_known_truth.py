"""No verdict contradicts a world of known truth: a subset of `reports/calibration`, run anew."""

from functools import lru_cache
from pathlib import Path

import pytest
from claim_runs import claim_module, measured

from polyrot import load_suite
from polyrot.locations import calibration_file
from polyrot.suites.suite import Suite
from polyrot.verdict.calibration import read_calibration
from polyrot.verdict.judge import Verdict

CLAIMS = ("PIR-05", "PIR-06", "PIR-07", "PIR-22")
WORLDS = ("haar", "noise-1", "unrelated")


@lru_cache(maxsize=1)
def world(name: str) -> Suite:
    return load_suite(f"world:{name}")


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("id", CLAIMS)
def test_no_verdict_contradicts_its_world(name: str, id: str) -> None:
    found = measured(id, "hardened", world(name), drawn=False)
    claim = claim_module(id).CLAIM
    forbidden = {
        *([Verdict.REFUTED] if name in claim.true_in else []),
        *([Verdict.REPLICATED] if name in (*claim.false_in, "unrelated") else []),
        *([Verdict.VACUOUS, Verdict.REFUTED] if name == "haar" else []),
    }
    assert found.verdict not in forbidden, found.reason


def test_no_verdict_of_the_whole_table_contradicts_its_world() -> None:
    file = calibration_file(Path(__file__).parents[2])
    assert file is not None, "reports/calibration is missing: `polyrot calibrate` makes it"
    calibration = read_calibration(file)
    assert calibration.contradictions == []
    verdicts = {
        (row.id, cell.world): cell.verdict for row in calibration.rows for cell in row.cells
    }
    assert {"haar", "unrelated"} <= {name for _, name in verdicts}
    for (id, name), verdict in verdicts.items():
        if name == "haar":
            # Out of every model's reach, as its page says.
            vacuous = id == "PIR-08/published"
            assert verdict != Verdict.REFUTED, id
            assert verdict != Verdict.VACUOUS or vacuous, id
        if name == "unrelated":
            assert verdict != Verdict.REPLICATED, id
