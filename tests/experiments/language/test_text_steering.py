"""Steering language models on text: contrasts, vectors and effects against runs by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import planted_language
import pytest
import torch
from planted_language import AWAY, NEITHER, TOWARD, D, lines, logits, planted, write_suite
from torch import Tensor
from torch.nn import functional as F

from polyrot.capabilities.steering import ALPHAS, Steered
from polyrot.errors import NotRun
from polyrot.experiments.language import contrasts
from polyrot.experiments.language import steering as text_steering
from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.contrasts import (
    BUILTIN,
    TextContrast,
    Texts,
    as_text,
    load_contrasts,
)
from polyrot.experiments.language.steering import TextSteered
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import Contrast, Steering
from polyrot.interventions.edit import adding
from polyrot.models import hub
from polyrot.suites.loading import load_suite
from polyrot.tasks import text

SITE = "resid_post.1"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> LanguageSuite:
    folder = tmp_path_factory.mktemp("steered")
    loaded = load_suite(str(write_suite(folder, [planted(seed) for seed in range(2)])))
    assert isinstance(loaded, LanguageSuite)
    return loaded


@pytest.fixture
def steered(suite: LanguageSuite) -> TextSteered:
    return suite.get(Steered)


@pytest.fixture
def concept(steered: TextSteered) -> TextContrast:
    (concept,) = steered.concepts
    return concept


def rows(texts: Texts, chosen: Tensor) -> list[Tensor]:
    """The token ids of texts, each as long as it is."""
    return [ids[real] for ids, real in zip(texts.tokens[chosen], texts.real[chosen], strict=True)]


def every(texts: Texts) -> Tensor:
    return torch.ones_like(texts.scored)


@pytest.mark.seconds
def test_steering_acts_in_the_middle_unless_the_file_says_where(
    suite: LanguageSuite, steered: TextSteered
) -> None:
    assert steered.site == SITE
    assert torch.equal(steered.activations, suite.activations.at(SITE))
    assert [concept.name for concept in steered.concepts] == ["class"]


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.seconds
def test_concept_vectors_are_differences_of_means_over_real_tokens(
    suite: LanguageSuite, steered: TextSteered, concept: TextContrast, held_out: bool
) -> None:
    vectors = steered.concept_vectors(concept, held_out=held_out)
    assert vectors.shape == (2, D)
    for index, seed in enumerate(suite.seeds):
        means = []
        for texts in (concept.toward, concept.away):
            chosen = ~texts.scored if held_out else every(texts)
            read = [
                read_sites(suite.language_model(seed), row[None], [SITE])[SITE][0]
                for row in rows(texts, chosen)
            ]
            means.append(torch.cat(read).double().mean(0))
        torch.testing.assert_close(vectors[index], means[0] - means[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.seconds
def test_effects_are_those_of_full_runs_with_the_vector_added(
    suite: LanguageSuite, steered: TextSteered, concept: TextContrast, held_out: bool
) -> None:
    vectors = torch.randn(2, D, generator=torch.manual_seed(0)).double()
    found = steered.effects(vectors, concept, (0.5, 2.0), held_out=held_out)
    assert found.drop.dtype == found.margin.dtype == torch.float64
    texts = concept.away
    chosen = texts.scored if held_out else every(texts)
    for index, seed in enumerate(suite.seeds):
        model = suite.language_model(seed)
        clean = by_hand(model, rows(texts, chosen), concept)
        for dose, alpha in enumerate((0.5, 2.0)):
            with adding(model, SITE, alpha * vectors[index].float()):
                right, margin = by_hand(model, rows(texts, chosen), concept)
            assert float(found.drop[dose, index]) == pytest.approx(clean[0] - right, abs=1e-12)
            assert float(found.margin[dose, index]) == pytest.approx(margin - clean[1], rel=1e-4)


def by_hand(model: Any, texts: list[Tensor], concept: TextContrast) -> tuple[float, float]:
    """Share of next tokens predicted, and mean logit margin, one text after another."""
    right, margins = [], []
    for row in texts:
        z = logits(model, row[None])[0]
        right += (z[:-1].argmax(-1) == row[1:]).tolist()
        up, down = (z[:, which].double().mean(-1) for which in concept.typical)
        margins += (up - down).tolist()
    return float(np.mean(right)), float(np.mean(margins))


@pytest.mark.seconds
def test_divergences_are_those_of_full_runs(
    suite: LanguageSuite, steered: TextSteered, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = torch.randn(2, D, generator=torch.manual_seed(1)).double()
    found = steered.divergences(vectors)
    assert found.shape == (len(ALPHAS), 2)
    tokens = suite.data.analysis[:64]
    model = suite.language_model(suite.seeds[1])
    clean = logits(model, tokens).double().log_softmax(-1)
    for dose, alpha in enumerate(ALPHAS):
        with adding(model, SITE, alpha * vectors[1].float()):
            moved = logits(model, tokens).double().log_softmax(-1)
        expected = F.kl_div(moved, clean, log_target=True, reduction="sum") / tokens.numel()
        assert float(found[dose, 1]) == pytest.approx(float(expected), rel=1e-5)
    assert (found.diff(dim=0) > 0).all()
    # In pieces, where the logits of all would not fit.
    monkeypatch.setattr(text_steering, "LOGITS", 1)
    torch.testing.assert_close(steered.divergences(vectors), found)


def test_no_vector_has_no_effect(steered: TextSteered, concept: TextContrast) -> None:
    nothing = torch.zeros(2, D)
    found = steered.effects(nothing, concept, (1.0,), held_out=True)
    assert not found.drop.any()
    assert not found.margin.any()
    assert float(steered.divergences(nothing).abs().max()) < 1e-12


def test_concept_vectors_move_the_models_as_they_ask(
    steered: TextSteered, concept: TextContrast
) -> None:
    own = steered.concept_vectors(concept, held_out=True)
    found = steered.effects(own, concept, ALPHAS, held_out=True)
    assert (found.margin > 0).all()
    back = steered.effects(-own, concept, ALPHAS, held_out=True)
    assert (back.margin < 0).all()


@pytest.mark.seconds
def test_an_image_is_the_source_in_another_basis(
    steered: TextSteered, concept: TextContrast
) -> None:
    images = steered.images(1)
    bases = images.bases
    identity = torch.eye(D, dtype=torch.float64).expand(2, D, D)
    torch.testing.assert_close(bases @ bases.mT, identity, atol=1e-12, rtol=0)
    assert not torch.allclose(bases[0], bases[1])
    for i, basis in enumerate(bases):
        image = (steered.activations[1].double() @ basis).float()
        torch.testing.assert_close(images.activations_of(i), image)
        assert torch.equal(steered.activations_of(i), steered.activations[i])
    source = steered.concept_vectors(concept, held_out=True)[1]
    own = images.concept_vectors(concept, held_out=True)
    torch.testing.assert_close(own, torch.stack([source @ basis for basis in bases]))
    # Carried in and acted on there, it does what it does at home.
    home = steered.effects(source.expand(2, D), concept, ALPHAS, held_out=True).margin[:, 1]
    there = images.effects(own, concept, ALPHAS, held_out=True).margin
    for column in there.T:
        torch.testing.assert_close(column, home, rtol=1e-5, atol=1e-6)
    divergence = steered.divergences(source.expand(2, D))[:, 1]
    for column in images.divergences(own).T:
        torch.testing.assert_close(column, divergence, rtol=1e-5, atol=1e-8)
    # Not carried, it is another vector there.
    strange = images.effects(source.expand(2, D), concept, ALPHAS, held_out=True).margin
    assert float((strange - there).abs().min(1).values.max()) > 0.1
    again = steered.images(1)
    assert torch.equal(again.bases, bases)


def test_effects_of_one_vector_are_read_once(
    suite: LanguageSuite, steered: TextSteered, concept: TextContrast
) -> None:
    runs = []
    model = suite.language_model(suite.seeds[0])
    handle = model.register_forward_pre_hook(lambda *arguments: runs.append(1))
    vectors = torch.randn(2, D, generator=torch.manual_seed(2)).double()
    first = steered.effects(vectors, concept, ALPHAS, held_out=True)
    before = len(runs)
    assert before
    again = steered.effects(vectors.clone(), concept, ALPHAS, held_out=True)
    handle.remove()
    assert len(runs) == before
    assert torch.equal(first.margin, again.margin)
    longer = steered.effects(2 * vectors, concept, ALPHAS, held_out=True)
    assert not torch.equal(first.margin, longer.margin)


def test_texts_are_distinct_and_none_is_fitted_and_scored(concept: TextContrast) -> None:
    for texts in (concept.toward, concept.away):
        found = [tuple(row.tolist()) for row in rows(texts, every(texts))]
        assert len(found) == len(set(found)) >= 100
        assert int(texts.scored.sum()) == len(found) // 2
        assert not texts.tokens[~texts.real].any()
        assert texts.real.sum(1).min() >= contrasts.SHORTEST
        # Padding is on the right alone.
        assert not (texts.real[:, 1:] & ~texts.real[:, :-1]).any()


def test_typical_tokens_tell_planted_classes_apart(
    suite: LanguageSuite, concept: TextContrast
) -> None:
    known = suite.tokenizer()
    for words, tokens in zip((TOWARD, AWAY), concept.typical, strict=True):
        said = {known.decode([token]).strip() for token in tokens.tolist()}
        assert len(tokens) == contrasts.TYPICAL
        assert len(said) == contrasts.TYPICAL
        assert said <= set(words)
    assert not set(concept.typical[0].tolist()) & set(concept.typical[1].tolist())


def test_typical_tokens_are_learnt_on_the_texts_to_fit_alone(tmp_path: Path) -> None:
    """A word that stands in every scored text, and in no other, is typical of nothing."""
    known = tokenizer(tmp_path)
    word, toward = NEITHER[0], lines(TOWARD, 120, 0)
    toward = [text.replace(word, TOWARD[0]) for text in toward]
    made = contrast(tmp_path, known, toward, lines(AWAY, 120, 1))
    scored = {known.decode(row) for row in rows(made.toward, made.toward.scored)}
    spoilt = [f"{text} {word} {word} {word}" if text in scored else text for text in toward]
    assert sum(word in text for text in spoilt) == 60
    again = contrast(tmp_path, known, spoilt, lines(AWAY, 120, 1))
    assert sum(word in known.decode(r) for r in rows(again.toward, again.toward.scored)) == 60
    assert again.typical[0].tolist() == made.typical[0].tolist()


def tokenizer(folder: Path) -> Any:
    planted_language.tokenizer().save(str(folder / "tokenizer.json"))
    return hub.load_tokenizer(hub.Checkpoint(str(folder)))


def contrast(folder: Path, known: Any, toward: list[str], away: list[str]) -> TextContrast:
    (folder / "toward.txt").write_text("\n".join(toward))
    (folder / "away.txt").write_text("\n".join(away))
    own = [Contrast(name="mine", toward="toward.txt", away="away.txt")]
    return load_contrasts(Steering(contrasts=[], own=own), folder, known)[0]


def test_copies_short_lines_and_common_beginnings_are_no_texts(tmp_path: Path) -> None:
    known = tokenizer(tmp_path)
    enough = lines(TOWARD, 110, 0, length=40)
    spoilt = [*enough, *enough, *(f"  {line} " for line in enough), "bala bame", "", "   "]
    # Longer texts are cut: what differs behind the cut is the same text.
    spoilt += [f"{line} {word}" for line in enough for word in AWAY[:2]]
    made = contrast(tmp_path, known, spoilt, lines(AWAY, 110, 1))
    assert len(made.toward.tokens) == 110
    assert made.toward.tokens.shape[1] == contrasts.TEXT_TOKENS


def test_too_few_texts_are_not_run(tmp_path: Path) -> None:
    known = tokenizer(tmp_path)
    few, enough = lines(TOWARD, 99, 0), lines(AWAY, 100, 1)
    assert len(few) == 99
    for classes in ((few, enough), (enough, few), (few * 3, enough)):
        with pytest.raises(NotRun) as raised:
            contrast(tmp_path, known, *classes)
        assert str(raised.value) == (
            "steering: mine has 99 distinct texts of 8 or more tokens in a class but 100 are "
            "needed; give more lines, or leave it out of steering"
        )
    assert contrast(tmp_path, known, enough, lines(TOWARD, 100, 2)).name == "mine"


def test_a_file_of_texts_that_is_missing_or_foreign_is_no_error(tmp_path: Path) -> None:
    known = tokenizer(tmp_path)
    own = [Contrast(name="mine", toward="toward.txt", away="no.txt")]
    (tmp_path / "toward.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(NotRun, match=f"steering.own: mine: there is no file {tmp_path}/no.txt"):
        load_contrasts(Steering(contrasts=[], own=own), tmp_path, known)
    (tmp_path / "no.txt").write_text("")
    with pytest.raises(NotRun, match="mine has 0 distinct texts"):
        load_contrasts(Steering(contrasts=[], own=own), tmp_path, known)


def test_texts_with_tokens_that_a_model_does_not_know_are_not_run(tmp_path: Path) -> None:
    """Where the suite's own text has none of them."""
    file = write_suite(tmp_path, [planted_language.llama(seed, vocab_size=400) for seed in (0, 1)])
    ids = np.random.default_rng(0).integers(0, 300, (96, 16))
    np.save(tmp_path / "ids.npy", ids)
    file.write_text(file.read_text().replace('files = ["text.txt"]', 'file = "ids.npy"'))
    suite = load_suite(str(file))
    with pytest.raises(
        NotRun, match="^steering class holds the token .* knows only 400; give tokens"
    ):
        suite.get(Steered)


def test_lines_are_known_by_their_tokens() -> None:
    source = 'x = 1  # one\n\x0c\ndef f():\n    # two\n    return \'a\u2028b\'\ny = """\nz\n"""\n'
    assert list(contrasts._lines(source)) == [
        ("x = 1  # one", {"name", "number", "comment"}),
        ("def f():", {"name"}),
        ("# two", {"comment"}),
        ("return 'a\u2028b'", {"name", "string"}),
    ]
    assert list(contrasts._lines("x = (\n")) == []


@pytest.mark.seconds
def test_the_standard_library_s_contrasts_are_of_held_out_modules_and_apart(
    tmp_path: Path,
) -> None:
    """The built-in classes, on real text with a real tokenizer of it."""
    documents = text.standard_library()
    made = text.train_tokenizer([d for d in documents if not d.held_out][::40], 512)
    made.save(str(tmp_path / "tokenizer.json"))
    known = hub.load_tokenizer(hub.Checkpoint(str(tmp_path)))
    held = {d.module for d in documents if d.held_out}
    assert 0 < len(held) < len({d.module for d in documents}) / 4
    seen = {line.strip() for d in documents if not d.held_out for line in d.text.splitlines()}
    classes = {name: [list(dict.fromkeys(c)) for c in make()] for name, make in BUILTIN.items()}
    for lines_of in classes.values():
        assert min(len(found) for found in lines_of) >= 200
        # Few of the lines are common ones that other modules have too.
        for found in lines_of:
            assert np.mean([line in seen for line in found]) < 0.3
    assert all(line.lstrip("\ufeff").startswith("#") for line in classes["comment"][0])
    assert not any(line.startswith("#") for line in classes["comment"][1])
    assert all('"' in line or "'" in line for line in classes["string"][0])
    assert all(any(c.isdigit() for c in line) for line in classes["string"][1])
    assert all(line[0].isupper() and line.endswith(".") for line in classes["code"][1])
    loaded = load_contrasts(Steering(), tmp_path, known)
    assert [concept.name for concept in loaded] == ["code", "string", "comment"]
    comment = {known.decode([t]) for t in loaded[2].typical[0].tolist()}
    assert any(token.strip() == "#" for token in comment)
    for concept in loaded:
        for texts in (concept.toward, concept.away):
            assert len(texts.tokens) == contrasts.TEXTS
            whole = [tuple(row.tolist()) for row in rows(texts, every(texts))]
            assert len(set(whole)) == contrasts.TEXTS


def test_a_text_that_a_rotation_was_fitted_on_is_not_scored_on(concept: TextContrast) -> None:
    texts = concept.away
    stands = int(texts.scored.nonzero()[3])
    row = texts.tokens[stands][texts.real[stands]]
    seen = torch.cat([torch.tensor([1, 2]), row, torch.tensor([3])])
    kept = texts.unseen(as_text(seen))
    assert len(kept.tokens) == len(texts.tokens) - 1
    assert int(kept.scored.sum()) == int(texts.scored.sum()) - 1
    # One token more, and it is another text.
    assert len(texts.unseen(as_text(torch.cat([row[:-1], seen[:2]]))).tokens) == len(texts.tokens)
