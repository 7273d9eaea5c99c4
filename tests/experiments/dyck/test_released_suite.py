"""Suites of released files: the shipped models, written as released, are measured alike."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from planted_release import write_checkpoint, write_sae
from torch import Tensor
from toy_claim import run_own_claims

import polyrot as pr
from polyrot.capabilities.streams import LATE_SITE
from polyrot.errors import NotRun
from polyrot.experiments.dyck.release_folder import Release
from polyrot.experiments.dyck.release_name import ReleaseName, parse_released, spelled
from polyrot.experiments.dyck.suite import INTERNAL_SITES
from polyrot.models import cohorts
from polyrot.models.released import Checkpoint
from polyrot.models.training import TrainingConfig, evaluate
from polyrot.models.transformer import SHARED_IO, TransformerConfig, initial_state
from polyrot.suites.artifacts import SHIPPED, Artifacts, MissingArtifact, SAEName
from polyrot.suites.loading import suite_provenance
from polyrot.suites.registry import check_suite, find_suite
from polyrot.suites.suite import Suite

ROOT = Path(__file__).parents[3]
CONFIG = TransformerConfig()


def folder_of(root: Path, seed: int) -> Path:
    return root / "seeds" / str(seed)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped seeds of `dyck3`, as their author would have released them."""
    root = tmp_path_factory.mktemp("release")
    shipped = Artifacts.open(SHIPPED / "dyck3")
    for seed in range(5):
        own = folder_of(root, seed)
        for step, half_way in ((16_000, False), (8_000, True)):
            state = shipped.model(seed, half_way=half_way)
            write_checkpoint(own / "checkpoints", Checkpoint(state, step))
        for site in INTERNAL_SITES:
            write_sae(own / "lens_outputs", shipped.sae(SAEName(seed, site, 0)), site)
        other = shipped.sae(SAEName(seed, LATE_SITE, 1 + seed))
        write_sae(own / "lens_outputs", other, LATE_SITE, sae_seed=1 + seed)
    return root


@pytest.fixture(scope="module")
def released(release: Path) -> Suite:
    return pr.load_suite(f"published:{release}")


@pytest.fixture(scope="module")
def shipped() -> Suite:
    return pr.load_suite("dyck3")


def write(root: Path, name: str, state: dict[str, Tensor]) -> Path:
    """Write one checkpoint under a name of its own."""
    written = write_checkpoint(root / "written", Checkpoint(state, 77))
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    written.rename(path)
    written.parent.rmdir()
    return path


def drawn(seed: int, **tensors: Tensor) -> dict[str, Tensor]:
    return initial_state(CONFIG, seed) | tensors


def cohort(root: Path, seeds: dict[int, dict[int, dict[str, Tensor]]]) -> Path:
    """Write checkpoints by seed and step."""
    for seed, steps in seeds.items():
        for step, state in steps.items():
            write_checkpoint(folder_of(root, seed) / "checkpoints", Checkpoint(state, step))
    return root


def opened(root: Path, choice: str = "") -> Release:
    return Release.open(ReleaseName(root, choice))


def test_models_and_activations_are_those_that_were_written(
    released: Suite, shipped: Suite
) -> None:
    assert released.seeds == shipped.seeds
    assert released.shares_io
    for name in CONFIG.shapes():
        assert torch.equal(released.models.weight(name), shipped.models.weight(name))
        assert torch.equal(released.untrained.weight(name), shipped.untrained.weight(name))
    assert torch.equal(released.held_out, shipped.held_out)
    for site in INTERNAL_SITES:
        for kind in ("activations", "untrained_activations"):
            ours, theirs = (getattr(suite, kind).at(site) for suite in (released, shipped))
            assert torch.equal(ours, theirs)
        ours, theirs = (suite.earlier_activations(0).at(site) for suite in (released, shipped))
        assert torch.equal(ours, theirs)


def test_rotations_are_those_of_the_shipped_suite(released: Suite, shipped: Suite) -> None:
    ours, theirs = released.rotations(), shipped.rotations()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[site], theirs[site]) for site in ours)


def test_autoencoders_are_those_that_were_written(released: Suite, shipped: Suite) -> None:
    names = [SAEName(seed, site, 0) for seed in range(5) for site in INTERNAL_SITES]
    names += [SAEName(seed, LATE_SITE, 1 + seed) for seed in range(5)]
    for name in names:
        ours, theirs = (s.sae(name.seed, name.site, name.sae_seed) for s in (released, shipped))
        for tensor in ("W_enc", "b_enc", "W_dec", "b_dec"):
            assert torch.equal(getattr(ours, tensor), getattr(theirs, tensor))
        assert ours.metadata["seed"] == name.sae_seed
    assert released.sae(0, LATE_SITE) is released.sae(0, LATE_SITE)
    control = released.control_sae(1, "noise")
    assert torch.equal(control.W_dec, shipped.control_sae(1, "noise").W_dec)


def test_provenance_names_and_hashes_every_file_that_is_used(release: Path) -> None:
    provenance = suite_provenance(f"published:{release}", SHIPPED)
    assert provenance["seeds"] == [0, 1, 2, 3, 4]
    assert provenance["analysed"]["3"] == "seeds/3/checkpoints/ckpt_0016000.pt"
    assert provenance["half way"]["3"] == "seeds/3/checkpoints/ckpt_0008000.pt"
    assert len(provenance["artifacts"]) == 2 * 5 + 5 * 5
    assert "seeds/4/lens_outputs/sae_resid_post_1_x8_seed5.pt" in provenance["artifacts"]
    assert provenance["control artifacts"]
    some = suite_provenance(f"published:{release}:1-2", SHIPPED)
    assert some["seeds"] == [1, 2]
    assert some["artifacts"].items() < provenance["artifacts"].items()


def test_accuracy_is_measured_on_held_out_data_once(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts, "FINAL_METRIC_SEQUENCES", 32)
    suite = pr.load_suite(f"published:{release}:0,3")
    accuracies = evaluate(
        suite.models, TrainingConfig(), sequences=32, seed=cohorts.FINAL_METRIC_SEED
    )
    assert suite.lowest_accuracy == min(
        value for sets in accuracies for heads in sets.values() for value in heads.values()
    )
    monkeypatch.setattr(cohorts, "final_accuracy", None)  # a second suite need not measure
    again = pr.load_suite(f"published:{release}:0,3")
    assert again.lowest_accuracy == suite.lowest_accuracy
    assert again.short_of(1.1)


@pytest.mark.seconds
def test_what_a_release_lacks_is_not_run_and_the_reason_says_where_it_is(tmp_path: Path) -> None:
    cohort(tmp_path, {seed: {100: drawn(seed)} for seed in range(6)})
    suite = pr.load_suite(f"published:{tmp_path}")
    with pytest.raises(NotRun, match="seed 2 at resid_mid.0 from SAE seed 0; put sae_resid_mid_0_"):
        suite.sae(2, "resid_mid.0")
    with pytest.raises(NotRun, match="no checkpoint of seeds 0-5 from a quarter to three quarters"):
        suite.earlier_activations(0)
    with pytest.raises(NotRun, match="no cohort dyck3 to compare with"):
        suite.cohort("dyck3")
    with pytest.raises(NotRun, match="has 6 seeds, .* of only 5; choose fewer"):
        suite.control_sae(5, "noise")
    # What needs none of these has what it needs.
    pair = next(suite.pairs("resid_mid.0"))
    assert pair.procrustes().rotation.shape == (64, 64)
    with pytest.raises(NotRun, match="autoencoder of seed 0"):
        _ = pair.sae


def test_one_seed_is_too_few(tmp_path: Path) -> None:
    cohort(tmp_path, {4: {100: drawn(4)}})
    check_suite(f"published:{tmp_path}")
    with pytest.raises(MissingArtifact, match="checkpoints only of seed 4, but claims compare"):
        pr.load_suite(f"published:{tmp_path}")
    assert suite_provenance(f"published:{tmp_path}", SHIPPED)["seeds"] == [4]


@pytest.mark.parametrize(
    "name",
    [
        "seeds/3/checkpoints/ckpt_0000200.pt",
        "seed3/ckpt_0000200.pt",
        "dyck-seed_3/1000/ckpt_0000200.pt",
        "2026/3/checkpoints/ckpt_0000200.pt",
        "ckpt_seed3_0000200.pt",
        "ckpt_0000200_seed3.pt",
    ],
)
def test_seed_and_step_are_read_from_names(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, drawn(3))
    release = opened(tmp_path)
    assert release.files == {3: {200: path}}
    assert not release.shares_io


def test_a_step_that_no_name_says_is_read_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "seed3/ckpt_best.pt", drawn(3))
    assert opened(tmp_path).files == {3: {77: path}}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"Expected released checkpoints, ckpt_\*.pt, at any depth in .* but found none"),
        (
            ["checkpoints/ckpt_1.pt", "seed1/ckpt_1.pt"],
            "Expected every seed in the name .* has checkpoints/ckpt_1.pt; name the folder",
        ),
        (
            ["a/seed1/ckpt_1.pt", "b/seed1/ckpt_2.pt"],
            "seed 1 in one folder, one per step, but .* has a/seed1/ckpt_1.pt, b/seed1/ckpt_2.pt",
        ),
        (["seed1/ckpt_1.pt", "seed1/ckpt_01.pt"], "one per step, but .* has seed1/ckpt_01.pt, "),
    ],
)
def test_folders_that_cannot_be_understood_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        write(tmp_path, name, drawn(1))
    with pytest.raises(ValueError, match=message):
        check_suite(f"published:{tmp_path}")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no .*nothing-here"):
        check_suite(f"published:{tmp_path}/nothing-here")
    with pytest.raises(ValueError, match="published:DIR, FILE.toml but got 'published:'"):
        check_suite("published:")


def test_a_damaged_checkpoint_is_refused_before_anything_runs(tmp_path: Path) -> None:
    cohort(tmp_path, {seed: {100: drawn(seed)} for seed in (0, 1)})
    path = folder_of(tmp_path, 1) / "checkpoints" / "ckpt_0000100.pt"
    path.write_bytes(b"rotten")
    with pytest.raises(ValueError, match=str(path)):
        check_suite(f"published:{tmp_path}")


def log(root: Path, seed: int, ranks: dict[int, tuple[float, float]]) -> None:
    """Write held-out accuracy and loss by step, among what else a training log holds."""
    records = [
        {"step": step, "eval_min_acc": accuracy}
        | {
            name: {"loss_tok": loss, "loss_depth": 0.0, "loss_valid": 0.0}
            for name in ("train", "compositional", "long")
        }
        for step, (accuracy, loss) in ranks.items()
    ]
    (root / "logs").mkdir(exist_ok=True)
    text = json.dumps([{"step": 0, "loss": 3.0}, *records, {"summary": {"seed": seed}}])
    (root / "logs" / f"train_seed{seed}.json").write_text(text)


def test_the_best_checkpoint_by_the_log_is_analysed_and_else_the_last(tmp_path: Path) -> None:
    steps = (200, 400, 600, 800)
    cohort(tmp_path, {seed: {step: drawn(10 * seed + step) for step in steps} for seed in (0, 1)})
    log(tmp_path, 0, {400: (0.99, 0.5), 600: (0.99, 0.2), 800: (0.98, 0.1), 900: (1.0, 0.0)})
    release = opened(tmp_path)
    assert release.steps == {0: 600, 1: 800}
    assert torch.equal(release.checkpoints[0].state["W_E"], drawn(600)["W_E"])
    halves = [release.half_way(seed) for seed in (0, 1)]
    assert [path.name for path in halves if path] == ["ckpt_0000200.pt", "ckpt_0000400.pt"]
    log(tmp_path, 1, {123: (1.0, 0.0)})  # of no checkpoint that is there
    assert opened(tmp_path).steps == {0: 600, 1: 800}
    (tmp_path / "logs" / "train_seed1.json").write_text('[{"eval_min_acc": 1.0}]')
    with pytest.raises(ValueError, match="training log in .*train_seed1.json but it is no"):
        opened(tmp_path)


def test_the_nearest_checkpoint_is_half_way_only_if_it_is_near(tmp_path: Path) -> None:
    cohort(tmp_path, {0: {step: drawn(step) for step in (100, 900, 1000)}})
    assert opened(tmp_path).half_way(0) is None


def io_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: state[name] for name in SHARED_IO}


def test_the_checkpoint_that_others_took_their_embedding_from_is_analysed(tmp_path: Path) -> None:
    source = {step: drawn(step) for step in (200, 400, 600)}
    others = {seed: {600: drawn(seed, **io_of(source[400]))} for seed in (1, 2)}
    release = opened(cohort(tmp_path, {0: source} | others))
    assert release.steps == {0: 400, 1: 600, 2: 600}
    assert release.shares_io


def test_two_cohorts_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    io = io_of(drawn(9))
    cohort(tmp_path, {seed: {100: drawn(seed, **io)} for seed in range(3)})
    cohort(tmp_path, {seed: {100: drawn(seed)} for seed in (100, 101)})
    with pytest.raises(ValueError, match=r"some do \(0-2\) and some do not; .*published:.*:0-2$"):
        opened(tmp_path)
    assert opened(tmp_path, "0-2").shares_io
    independent = opened(tmp_path, "100,101")
    assert not independent.shares_io
    assert list(independent.files) == [100, 101]
    with pytest.raises(ValueError, match="Expected seeds among 0-2,100-101, those in .* got 0-5"):
        opened(tmp_path, "0-5")


def test_autoencoders_are_found_by_either_name_of_a_site(tmp_path: Path) -> None:
    cohort(tmp_path, {seed: {100: drawn(seed)} for seed in (0, 1)})
    sae = Artifacts.open(SHIPPED / "dyck3").sae(SAEName(0, LATE_SITE, 0))
    lens = folder_of(tmp_path, 0) / "lens_outputs"
    alias = write_sae(lens, sae, "resid_pre.2")
    (lens / "sae_resid_mid_0_x32.pt").write_bytes(b"of another expansion: never read")
    (lens / "sae_resid_pre_0_x8.pt").write_bytes(b"at the embedding: never read")
    assert opened(tmp_path).saes == {SAEName(0, LATE_SITE, 0): alias}
    own = write_sae(lens, sae, LATE_SITE)
    assert opened(tmp_path).saes == {SAEName(0, LATE_SITE, 0): own}
    write_sae(folder_of(tmp_path, 0) / "again", sae, LATE_SITE)
    with pytest.raises(ValueError, match="one autoencoder per seed, .* but got seeds/0/again/sae_"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "choice", "report"),
    [
        ("published:a/b", "a/b", "", "published-b"),
        ("published:a/b:0-4", "a/b", "0-4", "published-b-0-4"),
        ("published:a/b:0,2-3", "a/b", "0,2-3", "published-b-0,2-3"),
        ("published:c:/d", "c:/d", "", "published-d"),
        ("published:/a/./b/../e", "/a/./b/../e", "", "published-e"),
    ],
)
def test_names_say_folder_and_seeds(name: str, folder: str, choice: str, report: str) -> None:
    assert parse_released(name) == ReleaseName(Path(folder), choice)
    assert find_suite(name).report_folder == report


def test_names_of_other_suites_are_not_theirs() -> None:
    assert parse_released("dyck3") is parse_released("world:haar:1") is None
    assert find_suite("world:haar:1").report_folder == "world-haar-1"
    assert spelled([101, 0, 2, 3, 4, 100, 7]) == "0,2-4,7,100-101"


def test_a_claim_is_judged_as_on_the_shipped_models(
    pytester: pytest.Pytester, release: Path, tmp_path: Path
) -> None:
    suite = f"--suite=published:{release}"
    chosen = ("-k", "PIR-03 and test_published", suite, "--report-dir", str(tmp_path))
    done = run_own_claims(pytester, *chosen)
    report = pr.read_verdict(tmp_path / f"published-{release.name}" / "verdict.json")
    expected = pr.read_verdict(ROOT / "reports" / "dyck3" / "verdict.json").verdicts
    assert report.verdicts == {"PIR-03/published": expected["PIR-03/published"]}, done.stdout.str()
    assert report.provenance["analysed"]["0"] == "seeds/0/checkpoints/ckpt_0016000.pt"


def test_without_autoencoders_a_claim_is_not_run(
    pytester: pytest.Pytester, release: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    shutil.copytree(release, small, ignore=shutil.ignore_patterns("lens_outputs"))
    suite = f"published:{small}:0-1"
    done = run_own_claims(pytester, "-k", "PIR-03", "--suite", suite, "--report-dir", str(tmp_path))
    said = done.stdout.str()
    assert done.ret == 0, said
    assert "NOT RUN      PIR-03" in said
    assert "put sae_resid_mid_0_x8.pt" in " ".join(said.split())


def test_suites_whose_reports_would_be_one_folder_are_refused(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    names = [str(cohort(tmp_path / part / "same", {0: {1: drawn(0)}})) for part in "ab"]
    done = run_own_claims(pytester, *(f"--suite=published:{name}" for name in names))
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "would write reports to the same folder; run one at a time" in done.stderr.str()
