"""Train everything that a built-in suite is judged with: its cohort and those of its controls."""

from polyrot.experiments.addition import suite as modular
from polyrot.experiments.chains import suite as markov
from polyrot.experiments.chains.train import train_encoder_artifacts
from polyrot.experiments.dyck.train import train_artifacts
from polyrot.experiments.language.checkpoints import AGREEMENT
from polyrot.experiments.planted.plan import FULL, SUBSPACES
from polyrot.experiments.planted.train import train_dictionaries
from polyrot.models.cohorts import COHORTS, COMPARED_WITH, CONTROL_COHORT
from polyrot.models.encoder_cohorts import CHAINS, SWEEP
from polyrot.progress import Progress
from polyrot.suites.names import described


def train_suite(name: str, *, command: str, device: str, progress: Progress) -> None:
    """Train the cohorts of a suite into the cache folder; nothing where it has none."""
    if name in COHORTS:
        for cohort in (name, CONTROL_COHORT, *COMPARED_WITH.get(name, ())):
            train_artifacts(cohort, command=command, device=device, progress=progress)
    for cohort in {markov.NAME: tuple(CHAINS), modular.NAME: (modular.NAME, SWEEP)}.get(name, ()):
        train_encoder_artifacts(cohort, command=command, progress=progress)
    if name in (SUBSPACES, FULL):
        train_dictionaries(name, command=command, progress=progress)
    file = described(name)
    if file and any(entry.artifact == AGREEMENT for entry in file.models):
        # Imported here: `transformers` takes seconds, and no other suite wants it.
        from polyrot.experiments.agreement.train import train_agreement

        train_agreement(command=command, device=device, progress=progress)
