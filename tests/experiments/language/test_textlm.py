"""The suite that needs no download: its text, its training in miniature, and what is left."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook

from polyrot.experiments.language import train as textlm
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.train import NAME, Plan, build_textlm
from polyrot.files import sha256
from polyrot.models import hub, language_training, resumable
from polyrot.models.hub import Checkpoint
from polyrot.models.language_training import (
    LanguageConfig,
    new_model,
    next_token_loss,
    train_language_model,
)
from polyrot.progress import silent
from polyrot.suites.artifacts import Artifacts, retrained_directory
from polyrot.suites.loading import load_suite
from polyrot.suites.registry import train
from polyrot.tasks import text
from polyrot.tasks.text import SEPARATOR, Document, encode, standard_library

TINY = LanguageConfig(
    vocabulary=320,
    d_model=32,
    layers=2,
    heads=2,
    context=16,
    steps=6,
    batch=4,
    warmup=2,
    bfloat16=False,
)
PLAN = Plan(models=TINY, control_steps=3, seeds=(1, 2, 3), control_seeds=(201, 202, 203))
COUNTED = np.arange(2_000, dtype=np.int32) % 97


class Interrupts:
    """Reports of progress, of which one is an interrupt."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.said: list[tuple[float, str]] = []

    def __call__(self, share: float, what: str) -> None:
        self.said.append((share, what))
        if len(self.said) - 1 == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def documents() -> tuple[Document, ...]:
    """Some documents of the standard library, of both kinds."""
    held = [d for d in standard_library() if d.held_out]
    seen = [d for d in standard_library() if not d.held_out]
    assert min(len(held), len(seen)) > 100
    return (*seen[::100], *held[::40])


def build(
    documents: tuple[Document, ...], folder: Path, work: Path, report: Interrupts | None = None
) -> Artifacts:
    options = {"progress": report} if report else {}
    return build_textlm(PLAN, documents, folder, work=work, command="polyrot train", **options)


@pytest.fixture(scope="module")
def built(
    documents: tuple[Document, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Interrupts]:
    root, report = tmp_path_factory.mktemp("textlm"), Interrupts()
    build(documents, root / "textlm", root / "work", report)
    return root / "textlm", report


def test_everything_is_written_and_the_manifest_names_it(built) -> None:
    folder, _ = built
    artifacts = Artifacts.open(folder)  # verifies every hash
    files = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    assert files == {*artifacts.hashes, "manifest.json"}
    assert {Path(name).parts[0] for name in files} == {
        "manifest.json",
        "tokens.safetensors",
        "tokenizer.json",
        *(f"seed{seed}" for seed in (1, 2, 3, 201, 202, 203)),
        *(f"seed{seed}-half-way" for seed in (1, 2, 3)),
    }
    manifest = artifacts.manifest
    assert manifest["command"] == "polyrot train"
    assert manifest["training"]["steps"] == 6
    assert (manifest["controls"]["steps"], manifest["controls"]["two_back"]) == (3, True)
    assert set(manifest["seeds"]) == {"1", "2", "3"}
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["versions"]["transformers"]
    assert str(folder) not in (folder / "manifest.json").read_text()


def test_losses_in_the_manifest_are_those_of_the_models(built) -> None:
    folder, _ = built
    tokens = torch.from_numpy(load_file(folder / "tokens.safetensors")["analysis"]).long()
    losses = Artifacts.open(folder).manifest["seeds"]["2"]["held-out loss"]
    models = {
        "before": new_model(TINY, 2),
        "half way": hub.load(Checkpoint(str(folder / "seed2-half-way")), torch.float32),
        "after": hub.load(Checkpoint(str(folder / "seed2")), torch.float32),
    }
    for when, model in models.items():
        own = float(model(input_ids=tokens, labels=tokens).loss.detach())
        assert losses[when] == pytest.approx(own, abs=1e-3)
    assert losses["after"] < losses["half way"] < losses["before"]
    assert losses["before"] == pytest.approx(np.log(320), abs=0.2)


def test_progress_rises_to_the_end(built) -> None:
    _, report = built
    shares = [share for share, _ in report.said]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert report.said[1][1].startswith("textlm: seed 1, step 1 of 6  loss ")
    assert report.said[-1][1].startswith("textlm: seed 203, step 3 of 3  loss ")


@pytest.mark.parametrize("at", [0, 4, 6, 17, 22])
@pytest.mark.training
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    built, documents: tuple[Document, ...], tmp_path: Path, at: int
) -> None:
    whole, _ = built
    with pytest.raises(KeyboardInterrupt):
        build(documents, tmp_path / "textlm", tmp_path / "work", Interrupts(at))
    assert not (tmp_path / "textlm" / "manifest.json").exists()
    report = Interrupts()
    build(documents, tmp_path / "textlm", tmp_path / "work", report)
    # What was trained is not trained again: a step fewer each.
    assert len(report.said) == 1 + 6 * 3 + 3 * 3 - at
    assert Artifacts.open(tmp_path / "textlm").hashes == Artifacts.open(whole).hashes


def test_an_interrupt_within_a_step_does_not_make_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt mostly strikes within a step, and seldom between two."""
    whole = train_language_model(TINY, 1, COUNTED, tmp_path)
    steps = []

    def interrupt(*arguments: object) -> None:
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt

    broken = tmp_path / "broken"
    broken.mkdir()
    monkeypatch.setattr(resumable, "CHECKPOINT_SECONDS", 0.0)
    handle = register_optimizer_step_post_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_language_model(TINY, 1, COUNTED, broken)
    finally:
        handle.remove()
    made: list[int] = []
    resumed = train_language_model(
        TINY,
        1,
        COUNTED,
        broken,
        progress=lambda share, what: made.append(round(share * TINY.steps)),
    )
    assert made == [4, 5, 6]
    for one, other in zip(whole, resumed, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])


def test_seeds_share_neither_weights_nor_batches(tmp_path: Path) -> None:
    one, other = (new_model(TINY, seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(new_model(TINY, 1).state_dict()[name], v) for name, v in one.items())
    drawn = [name for name, value in one.items() if not torch.equal(value, other[name])]
    assert any("embed_in" in name for name in drawn)
    batches = [language_training._batch(TINY, seed, 0, COUNTED)[0] for seed in (1, 1, 2)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    new_model(TINY, 1)
    assert torch.equal(torch.rand(1), expected)


def test_a_batch_asks_for_the_next_token() -> None:
    tokens, labels = language_training._batch(TINY, 1, 0, COUNTED)
    assert tokens.shape == labels.shape == (4, 16)
    assert torch.equal(tokens[:, 1:], labels[:, :-1])
    assert torch.equal(labels, (tokens + 1) % 97)


@pytest.mark.training
def test_controls_learn_another_task(tmp_path: Path) -> None:
    """To say the token before the last, which chance says one time in sixteen."""
    config = replace(
        TINY, vocabulary=16, steps=150, batch=32, learning_rate=2e-2, warmup=20, two_back=True
    )
    _, model = train_language_model(config, 201, COUNTED, tmp_path)
    tokens, labels = language_training._batch(config, 999, 0, COUNTED)
    assert (labels[:, :2] == language_training.IGNORE).all()
    assert torch.equal(labels[:, 2:], tokens[:, :-2])
    with torch.inference_mode():
        said = model(input_ids=tokens).logits.argmax(-1)
    assert float((said == labels)[:, 2:].double().mean()) > 0.9
    # Text means nothing to it.
    assert torch.equal(
        language_training._batch(config, 1, 0, COUNTED)[0],
        language_training._batch(config, 1, 0, COUNTED + 1)[0],
    )


def test_the_rate_warms_up_and_falls() -> None:
    config = LanguageConfig(vocabulary=10, steps=1_000, warmup=100)
    rates = [config.rate(step) for step in range(1_000)]
    assert rates[0] == pytest.approx(3e-5)
    assert max(rates) == rates[99] == rates[100] == pytest.approx(3e-3)
    assert rates[-1] == pytest.approx(0.05 * 3e-3, rel=1e-3)
    assert rates[100:] == sorted(rates[100:], reverse=True)


def test_no_held_out_document_is_in_the_text_that_models_see(
    built, documents: tuple[Document, ...]
) -> None:
    folder, _ = built
    tokenizer = hub.load_tokenizer(Checkpoint(str(folder))).backend_tokenizer
    training, held = (encode(tokenizer, documents, held_out=which) for which in (False, True))
    manifest = Artifacts.open(folder).manifest
    assert (manifest["training tokens"], manifest["held-out tokens"]) == (len(training), len(held))
    separator = tokenizer.token_to_id(SEPARATOR)
    assert (training == separator).sum() == sum(not d.held_out for d in documents)
    for ids, which in ((training, False), (held, True)):
        pieces = [p.tolist() for p in np.split(ids, np.flatnonzero(ids == separator))[1:]]
        decoded = [tokenizer.decode(piece[1:]) for piece in pieces]
        assert decoded == [d.text for d in documents if d.held_out is which]
    arrays = load_file(folder / "tokens.safetensors")
    whole = {tuple(row) for row in held[: len(held) // 16 * 16].reshape(-1, 16)}
    analysed, others = ({tuple(row) for row in arrays[name]} for name in ("analysis", "sae"))
    assert analysed | others <= whole
    assert len(arrays["analysis"]) == 256
    assert len(analysed & others) < 16  # lines of dashes recur


def test_the_tokenizer_sees_training_text_alone() -> None:
    seen = [Document("seen", "alpha beta gamma " * 50)]
    held = [Document("x", "delta epsilon zeta " * 50)]
    assert held[0].held_out is not seen[0].held_out
    if seen[0].held_out:
        seen, held = held, seen
    alone, both = (text.train_tokenizer(d, 300).to_str() for d in (seen, [*seen, *held]))
    assert alone == both


@pytest.fixture
def in_the_cache(built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small suite where the large one is kept."""
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(built[0], retrained_directory() / NAME)
    return retrained_directory() / NAME


def test_a_second_call_trains_nothing(in_the_cache: Path) -> None:
    before = {f: (sha256(f), f.stat().st_mtime_ns) for f in in_the_cache.rglob("*") if f.is_file()}
    report = Interrupts()
    assert train(NAME, command="again", progress=report) == in_the_cache
    assert not report.said
    after = {f: (sha256(f), f.stat().st_mtime_ns) for f in in_the_cache.rglob("*") if f.is_file()}
    assert after == before


@pytest.mark.training
def test_a_first_call_trains_under_the_full_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    plans: list[Plan] = []

    def stop(plan: Plan, *arguments: object, **options: object) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(textlm, "build_textlm", stop)
    with pytest.raises(KeyboardInterrupt):
        train(NAME, command="first", progress=silent)
    (plan,) = plans
    assert plan.models.vocabulary == text.VOCABULARY
    assert not plan.models.two_back
    assert plan.controls.two_back
    assert plan.steps == 5 * 2_500 + 5 * 300
    assert not set(plan.seeds) & set(plan.control_seeds)


def test_the_suite_loads_what_was_trained(in_the_cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\n[sae]\nexpansion = 2\nsteps = 2\nbatch = 32\n'
        '[[models]]\nseeds = [1, 2, 3]\nartifact = "textlm"\n'
        '[[controls]]\nseeds = [201, 202, 203]\nartifact = "textlm"\n'
    )
    suite = load_suite(str(file))
    assert isinstance(suite, LanguageSuite)
    assert suite.sites == ("resid_pre.0", "resid_post.0", "resid_post.1")
    kept = load_file(in_the_cache / "tokens.safetensors")
    assert torch.equal(suite.data.analysis, torch.from_numpy(kept["analysis"]).long())
    assert torch.equal(suite.data.sae, torch.from_numpy(kept["sae"]).long())
    half_way = suite.earlier_activations(0).at(suite.late_site)
    assert half_way.shape == suite.activations.at(suite.late_site).shape
    assert not torch.allclose(half_way, suite.activations.at(suite.late_site))
    assert suite.control_sae(0, suite.late_site).d_model == 32
    assert not suite.shares_io
    assert suite.tokenizer()("def f(x):")["input_ids"]
    # Before training, a model is the one that training began with.
    begun = new_model(TINY, 2).state_dict()
    for name, value in suite.untrained_language_model(2).state_dict().items():
        assert torch.equal(value, begun[name])


def test_the_next_token_loss_is_the_library_s_own() -> None:
    model = new_model(TINY, 1)
    tokens = torch.randint(320, (3, 9), generator=torch.manual_seed(0))
    with torch.inference_mode():
        own = float(model(input_ids=tokens, labels=tokens).loss)
    assert next_token_loss(model, tokens) == pytest.approx(own, rel=1e-5)
