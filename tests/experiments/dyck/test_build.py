"""From training to a judged suite, in miniature: files, resumption, damage."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_claim import run_own_claims
from typer.testing import CliRunner

import polyrot as pr
from polyrot.capabilities.dictionaries import GROUPS, KINDS, RANK
from polyrot.capabilities.streams import HALF_WAY, IMAGE, IMAGE_SAE_SEED
from polyrot.cli import app
from polyrot.errors import NotRun
from polyrot.experiments.dyck import train as build
from polyrot.experiments.dyck.suite import HALF_WAY_SITES
from polyrot.models import cohorts
from polyrot.sae.recipe import SAEConfig
from polyrot.suites.artifacts import Artifacts, DamagedArtifact, MissingArtifact, SAEName

TINY = {
    "steps": 4,
    "batch": 8,
    "length_buckets": 1,
    "evaluate_every": 2,
    "evaluate_sequences": 8,
    "bfloat16": False,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both suites' folders in miniature: everything real, and far too short."""
    root = tmp_path_factory.mktemp("artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohorts, "FINAL_METRIC_SEQUENCES", 16)
        patch.setattr(build, "SAE_SEQUENCES", 32)
        for name in ("dyck3", "two-back"):
            cohort = cohorts.COHORTS[name]
            build.build_suite(
                replace(cohort, training=replace(cohort.training, **TINY)),
                root / name,
                work=root / "work",
                command=f"polyrot train {name}",
                sae_config=SAEConfig(steps=2, batch=32),
                dictionary_config=SAEConfig(expansion=2, steps=2, batch=32),
            )
    return root


def test_the_manifest_says_what_was_done(trained: Path) -> None:
    manifest = Artifacts.open(trained / "dyck3").manifest
    assert manifest["command"] == "polyrot train dyck3"
    assert manifest["training"]["steps"] == 4
    assert manifest["shared_io_of"] == 0
    assert set(manifest["seeds"]) == set("01234")
    accuracy = manifest["seeds"]["3"]["accuracy"]
    assert set(accuracy) == {"train", "compositional", "long"}
    assert set(accuracy["long"]) == {"token", "depth", "valid"}
    assert manifest["seeds"]["3"]["lowest accuracy"] == min(
        value for heads in accuracy.values() for value in heads.values()
    )
    assert manifest["versions"]["torch"] == torch.__version__
    assert set(manifest["dictionary_training"]) == {"scalar", "subspace"}
    assert len(manifest["files"]) == 2 * 5 + 2 * (25 + 10 + 5 + 25)


def test_controls_are_kept_as_they_end(trained: Path) -> None:
    files = Artifacts.open(trained / "two-back").hashes
    assert len(files) == 5 + 2 * 10
    assert not any("half-way" in name for name in files)


def test_autoencoders_are_kept_in_half_precision_and_read_in_single(trained: Path) -> None:
    name = SAEName(2, "resid_mid.0", 0)
    artifacts = Artifacts.open(trained / "dyck3")
    stored, read = pr.SAE.load(trained / "dyck3" / name.folder), artifacts.sae(name)
    assert (stored.W_dec.dtype, read.W_dec.dtype) == (torch.float16, torch.float32)
    assert torch.equal(stored.W_dec.float(), read.W_dec)
    assert read.metadata["ev"] == stored.metadata["ev"]


def test_a_suite_loads_what_was_built(trained: Path) -> None:
    loaded = pr.load_suite("dyck3", artifacts=trained)
    assert loaded.seeds == (0, 1, 2, 3, 4)
    assert len(loaded.seed_pairs()) == 20
    assert len(loaded.seed_pairs(anchored=True)) == 4
    assert len(loaded.seed_pairs(ordered=False)) == 10
    pair = next(loaded.pairs("resid_mid.1"))
    assert pair.seeds == (0, 1)
    assert pair.source.shape == pair.target.shape == pair.before_training()[1].shape
    assert 0.2 < float(pair.held_out.double().mean()) < 0.3
    held = loaded.activations.sequence[pair.held_out]
    assert not torch.isin(held, loaded.activations.sequence[~pair.held_out]).any()
    own = loaded.sae(2, loaded.late_site, loaded.sae_seed(2))
    assert own.metadata["seed"] == 3
    assert loaded.control_sae(4, "noise").d_model == 64
    # The untrained twins share what the cohort shares: the trained embedding of seed 0.
    assert torch.equal(loaded.untrained.weight("W_E")[3], loaded.models.weight("W_E")[0])
    for head in ("W_U_tok", "W_U_depth", "W_U_valid"):
        assert torch.equal(loaded.models.weight(head)[4], loaded.models.weight(head)[0])


def test_dictionaries_differ_in_their_rule_alone(trained: Path) -> None:
    loaded = pr.load_suite("dyck3", artifacts=trained)
    scalar, subspace = (loaded.dictionary(3, kind) for kind in KINDS)
    assert scalar.activation == pr.TopK(GROUPS * RANK)
    assert subspace.activation == pr.GroupTopK(GROUPS, RANK)
    assert scalar.features == subspace.features == 2 * scalar.d_model
    different = {"activation", "ev", "ev_published", "l0"}
    assert {k for k, v in scalar.metadata.items() if v != subspace.metadata[k]} <= different
    with pytest.raises(NotRun, match="no autoencoder sae/seed0-resid_post.1-sae1-subspace"):
        loaded.dictionary(0, "subspace", 1)


def test_each_model_has_its_own_autoencoder_from_the_shared_seed(trained: Path) -> None:
    loaded = pr.load_suite("dyck3", artifacts=trained)
    first, second = loaded.sae(0, "resid_mid.0"), loaded.sae(1, "resid_mid.0")
    assert first.metadata["seed"] == second.metadata["seed"] == 0
    assert not torch.equal(first.W_dec, second.W_dec)
    # Two steps from one start: the decoders are still nearly the same.
    assert float(torch.cosine_similarity(first.W_dec, second.W_dec).min()) > 0.99


def test_finished_parts_are_not_trained_again(trained: Path, tmp_path: Path) -> None:
    cohort = cohorts.COHORTS["two-back"]
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohorts, "FINAL_METRIC_SEQUENCES", 16)
        patch.setattr(build, "SAE_SEQUENCES", 32)
        again = build.build_suite(
            replace(cohort, training=replace(cohort.training, **TINY)),
            tmp_path / "two-back",
            work=trained / "work",
            command="again",
            sae_config=SAEConfig(steps=2, batch=32),
            progress=lambda share, what: calls.append(what),
        )
    remarks = {what.rpartition(", ")[2] for what in calls}
    assert remarks == {"measuring final accuracy", "trained earlier"}
    assert len(calls) == len(set(calls))
    assert again.hashes == Artifacts.open(trained / "two-back").hashes


def test_damage_and_absence_are_told_apart(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="no trained files of dyck3-independent"):
        pr.load_suite("dyck3-independent", artifacts=trained)
    with pytest.raises(ValueError, match="Expected a suite but got 'dyck4'; nearest: dyck3"):
        pr.load_suite("dyck4")
    shutil.copytree(trained / "dyck3", tmp_path / "dyck3")
    (tmp_path / "dyck3" / "seed1.safetensors").write_bytes(b"rotten")
    with pytest.raises(DamagedArtifact, match=r"seed1.safetensors is damaged"):
        pr.load_suite("dyck3", artifacts=tmp_path)


def test_a_damaged_file_is_an_error_that_names_it(
    pytester: pytest.Pytester, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "artifacts")
    (tmp_path / "artifacts" / "two-back" / "seed201.safetensors").write_bytes(b"rotten")
    chosen = ["-k", "PIR-05", "--suite", "dyck3", "--artifacts", str(tmp_path / "artifacts")]
    done = run_own_claims(pytester, *chosen, "--report-dir", str(tmp_path / "out"))
    assert done.ret == 1
    assert "seed201.safetensors is damaged" in done.stdout.str()
    assert pr.read_verdict(tmp_path / "out/dyck3/verdict.json").verdicts == {"PIR-05": "ERROR"}


def test_the_plan_covers_every_internal_site_and_reseeds_the_late_one() -> None:
    plan = build.sae_plan(cohorts.COHORTS["dyck3"])
    assert set(plan) == set(HALF_WAY_SITES)
    for site, names in plan.items():
        half_way = [SAEName(s, site, 0, HALF_WAY) for s in range(5)]
        assert [name for name in names if name.kind == HALF_WAY] == half_way
    mid = [name for name in plan["resid_mid.0"] if not name.kind]
    assert mid == [SAEName(s, "resid_mid.0", 0) for s in range(5)]
    late = plan["resid_post.1"]
    assert [name.sae_seed for name in late if not name.kind] == [0] * 5 + [1, 2, 3, 4, 5]
    images = [SAEName(s, "resid_post.1", IMAGE_SAE_SEED, IMAGE) for s in range(5)]
    assert [name for name in late if name.kind == IMAGE] == images
    for kind in KINDS:
        own = [SAEName(seed, "resid_post.1", 0, kind) for seed in range(5)]
        assert [name for name in late if name.kind == kind] == own
        independent = build.sae_plan(cohorts.COHORTS["dyck3-independent"])["resid_post.1"]
        assert SAEName(100, "resid_post.1", 1, kind) in independent
    noise = build.noise_activations(200, 500, 8)
    assert not torch.equal(noise, build.noise_activations(201, 500, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "dyck4"], "Expected a suite but got 'dyck4'; nearest: dyck3"),
        (["train", "dyck3", "--device", "cuda"], "torch sees no CUDA device"),
    ],
)
def test_the_command_line_names_what_is_wrong(arguments: list[str], message: str) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_an_interrupted_training_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "build_suite", interrupted)
    result = CliRunner().invoke(app, ["train", "dyck3"])
    assert result.exit_code == 130
    assert "the same command continues where it stopped" in result.output
