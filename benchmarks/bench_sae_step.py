"""One step of training an autoencoder: gradients, Adam, renormalisation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pytest
import sae_peers
import torch
from torch import Tensor

import polyrot as pr
from harness.group import Case, Contender, Group
from harness.measure import Measure
from polyrot.sae.metrics import reconstruct
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import SAEStack, initial_weights

BATCH, SEEDS, RANK = 4_096, 5, 4
DATA = 3 * BATCH
NOTE = (
    f"{BATCH:,} tokens a step, Adam, weights in float32. `polyrot` is {SEEDS} seeds in one stack, "
    "per model, and one at F = 65,536; the others train one model, as they would one after "
    "another. Recipes differ in warm-up, clipping and what they count, not in sizes. The error is "
    "the share of variance left unexplained after the rounds, whose number differs; in ours it "
    "must have fallen."
)


def _case(d: int, features: int, k: int | None = None, *, full: bool = False) -> Case:
    """Five autoencoders of 65,536 features at d = 2,048, with Adam's moments, are over 20 GB."""
    return Case(
        features,
        f"{d} {features}" + (f" {k}" if k else ""),
        full=full,
        plotted=d < 2_048 and k in (None, 32),
        values={"d": d, "k": k, "seeds": SEEDS if features < 65_536 else 1},
    )


DENSE = (
    _case(64, 512),
    _case(512, 4_096),
    _case(512, 16_384, full=True),
    _case(2_048, 16_384, full=True),
    _case(2_048, 65_536, full=True),
)
SPARSE = (
    _case(64, 512, 32),
    _case(512, 4_096, 32),
    _case(512, 4_096, 64, full=True),
    _case(512, 16_384, 32, full=True),
    _case(512, 16_384, 64, full=True),
    _case(2_048, 16_384, 32, full=True),
    _case(2_048, 65_536, 32, full=True),
)


def _group(name: str, title: str, cases: tuple[Case, ...], axis: str) -> Group:
    title = f"A training step of {title}"
    error = "unexplained variance after the rounds, of that before"
    return Group(name, title, cases, axis=axis, unit="model and step", error=error, note=NOTE)


RELU = _group("sae-step-relu", "a ReLU autoencoder", DENSE, "d F")
TOPK = _group("sae-step-topk", "a TopK autoencoder", SPARSE, "d F k")
SUBSPACE = _group(
    "sae-step-subspace", f"a subspace autoencoder, groups of rank {RANK}", SPARSE, "d F k"
)
DENSE_ASKED = {512: 3, 4_096: 1, 16_384: 1, 65_536: 1}
SPARSE_ASKED = {512: 3, 4_096: 1.5, 16_384: 1.5, 65_536: 1.5}


@dataclass(frozen=True)
class Built:
    """A step of training, how many models it trains, and what the first makes of tokens."""

    step: Callable[[], Any]
    models: int
    reconstruct: sae_peers.Reconstruct


@lru_cache(maxsize=1)
def _activations(d: int) -> Tensor:
    x = sae_peers.tokens(DATA, d, "cpu")
    return (x - x.mean(0)) / x.std()


def _stack(activation: Any, d: int, features: int, seeds: int) -> Built:
    configs = [
        SAEConfig(expansion=features // d, batch=BATCH, seed=seed, activation=activation)
        for seed in range(seeds)
    ]
    stack = SAEStack([_activations(d)] * seeds, configs)
    return Built(stack.step, seeds, lambda x: reconstruct(stack.autoencoders()[0], x))


def _peer(trained: sae_peers.Trained, d: int) -> Built:
    step, reconstructed = trained
    generator = torch.Generator().manual_seed(0)
    x = _activations(d)
    draw = partial(torch.randint, len(x), (BATCH,), generator=generator)
    return Built(lambda: step(x[draw()]), 1, reconstructed)


def _contenders(group: Group, activation: Callable[[int | None], Any], asked: Any) -> None:
    @group.contender("polyrot", ours=True)
    def ours(case: Case) -> Built:
        return _stack(activation(case["k"]), case["d"], case.size, case["seeds"])

    @group.contender("polyrot, one seed", on=lambda case: case["seeds"] > 1)
    def alone(case: Case) -> Built:
        return _stack(activation(case["k"]), case["d"], case.size, 1)

    if group is SUBSPACE:

        @group.contender("dense, autograd", at_least=asked)
        def dense(case: Case) -> Built:
            step = _dense_subspace_step(case["d"], case.size, activation(case["k"]))
            return _peer(step, case["d"])

        return

    @group.contender("SAELens", at_least=asked, needs="sae_lens")
    def saelens(case: Case) -> Built:
        return _peer(sae_peers.saelens_step(case["d"], case.size, case["k"], BATCH), case["d"])

    @group.contender("dictionary_learning", at_least=asked, needs="dictionary_learning")
    def dictionary_learning(case: Case) -> Built:
        step = sae_peers.dictionary_learning_step(case["d"], case.size, case["k"], BATCH)
        return _peer(step, case["d"])


_contenders(RELU, lambda k: pr.ReLU(), DENSE_ASKED)
_contenders(TOPK, pr.TopK, SPARSE_ASKED)
_contenders(SUBSPACE, lambda k: pr.GroupTopK(k // RANK, RANK), SPARSE_ASKED)


def _dense_subspace_step(d: int, features: int, activation: pr.GroupTopK) -> sae_peers.Trained:
    """Write the step plainly: no library on the index trains subspace autoencoders."""
    config = SAEConfig(expansion=features // d, activation=activation)
    w = {name: x.requires_grad_() for name, x in initial_weights(config, d).items()}
    optimizer = torch.optim.Adam(w.values(), lr=config.learning_rate, fused=True)

    def reconstructed(x: Tensor) -> Tensor:
        pre = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
        grouped = pre.unflatten(1, (-1, activation.rank))
        kept = grouped.norm(dim=2).topk(activation.groups, dim=1).indices
        mask = torch.zeros(grouped.shape[:2]).scatter_(1, kept, 1.0)
        z = (grouped * mask[:, :, None]).flatten(1)
        return z @ w["W_dec"] + w["b_dec"]

    def step(x: Tensor) -> None:
        loss = (reconstructed(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            w["W_dec"] /= w["W_dec"].norm(dim=1, keepdim=True)
            w["W_enc"] /= w["W_enc"].norm(dim=0, keepdim=True)

    return step, reconstructed


@pytest.mark.group(RELU)
def test_relu(case: Case, contender: Contender, measure: Measure) -> None:
    _measure(case, contender, measure, dense=True)


@pytest.mark.group(TOPK)
def test_topk(case: Case, contender: Contender, measure: Measure) -> None:
    _measure(case, contender, measure)


@pytest.mark.group(SUBSPACE)
def test_subspace(case: Case, contender: Contender, measure: Measure) -> None:
    _measure(case, contender, measure)


def _measure(case: Case, contender: Contender, measure: Measure, *, dense: bool = False) -> None:
    d, features = case["d"], case.size
    built = contender.run(case)
    before = _unexplained(built, d)
    measure(
        built.step,
        per=built.models,
        # Where features are dense all six products; else the encoder's, the rest being sparse.
        operations=(6 if dense else 1) * 2 * BATCH * d * features * built.models,
        bytes_moved=4 * 4 * 2 * d * features * built.models,  # Adam: weight, gradient, two moments
        precision="float32",
    )
    after = _unexplained(built, d)
    ours = contender.name.startswith("polyrot")
    measure.agrees(after / before, at_most=1.0 if ours else None)


@torch.no_grad()
def _unexplained(built: Built, d: int) -> float:
    x = _activations(d)[:BATCH]
    return float((built.reconstruct(x) - x).square().sum() / (x - x.mean(0)).square().sum())
