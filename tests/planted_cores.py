"""Cores whose truth is known, in the shape that claims about cores expect of a real suite."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from polyrot.linalg import haar
from polyrot.suites.chains import ChainModels
from polyrot.suites.modular import END, END_WITHOUT_DECAY, GROKKED, MEMORISED
from polyrot.suites.questions import QuestionModels, cyclic
from polyrot.suites.suite import Suite
from polyrot.tasks import modular
from polyrot.tasks.markov import Chain, ring, two_rows

SEEDS = (0, 1, 2, 3, 4)
D_MODEL = 32
SEQUENCES = 4_096
SITE = "resid_post.0"
CONSTANT = 10.0
"""How far a constant lies from zero."""

Bases = Callable[[int, int], Tensor]
"""The subspace of a seed, `[d_model, rank]`."""


def generator(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(sum(31**i * part for i, part in enumerate(parts)))


def random_bases(seed: int, rank: int) -> Tensor:
    return haar.sample(D_MODEL, seed=100 + seed)[:, :rank]


def disjoint_bases(seed: int, rank: int) -> Tensor:
    first = SEEDS.index(seed) * 6
    return torch.eye(D_MODEL, dtype=torch.float64)[:, first : first + rank]


def codes(chain: Chain) -> Tensor:
    """A point for every state, `[state, states - 1]`: the corners of a simplex."""
    centred = torch.eye(chain.states, dtype=torch.float64) - 1 / chain.states
    return torch.linalg.svd(centred).U[:, :-1]


@lru_cache
def knows_the_state(chain: Chain, bases: Bases = random_bases) -> ChainModels:
    """Models whose state is the chain's, in a subspace that is read; noise in the others."""
    states = chain.sample(SEQUENCES, seed=5)
    points = codes(chain)
    activations, weights = [], []
    for seed in SEEDS:
        basis = bases(seed, points.shape[1])
        noise = torch.randn(*states[:, 1:].shape, D_MODEL, generator=generator(seed, 1)).double()
        outside = noise - (noise @ basis) @ basis.mT
        activations.append(points[states[:, :-1]] @ basis.mT + outside)
        weights.append(10 * points @ basis.mT)
    return ChainModels(
        chain,
        states[:, 1:],
        torch.stack(activations),
        torch.stack(weights),
        torch.zeros(len(SEEDS), chain.states, dtype=torch.float64),
    )


@lru_cache
def knows_one_bit() -> ChainModels:
    """Models of a chain that hangs on one bit, who know it and nothing else."""
    models = knows_the_state(two_rows())
    states = two_rows().sample(SEQUENCES, seed=5)
    bit = (states[:, :-1] >= 2).double()[..., None] - 0.5
    bases = torch.stack([random_bases(seed, 1)[:, 0] for seed in SEEDS])
    read = torch.tensor([1.0, 0.0, -1.0, 0.0], dtype=torch.float64)
    return replace(
        models,
        activations=bit * bases[:, None, None],
        weight=10 * read[None, :, None] * bases[:, None],
    )


@lru_cache
def knows_nothing(chain: Chain) -> ChainModels:
    """Noise, all of which is read."""
    models = knows_the_state(chain)
    noise = torch.randn(models.activations.shape, generator=generator(2)).double()
    weight = torch.randn(models.weight.shape, generator=generator(3)).double()
    return replace(models, activations=noise, weight=weight)


def reads_noise_too(chain: Chain) -> ChainModels:
    """Each answer hears a noise of its own besides the state."""
    models = knows_the_state(chain)
    ears = torch.randn(models.weight.shape, generator=generator(4)).double()
    return replace(models, weight=models.weight + 3 * ears)


def hears_a_loud_voice(chain: Chain) -> ChainModels:
    """All answers hear one loud noise alike, which alters none of them and fills the core."""
    models = knows_the_state(chain)
    voice = torch.stack([haar.sample(D_MODEL, seed=100 + s)[:, 20] for s in SEEDS])
    loud = 30 * torch.randn(models.activations.shape[:3], generator=generator(5)).double()
    return replace(
        models,
        activations=models.activations + loud[..., None] * voice[:, None, None],
        weight=models.weight + voice[:, None],
    )


def needs_its_mean(chain: Chain) -> ChainModels:
    """A constant far outside the core holds back an answer that would otherwise always win."""
    models = knows_the_state(chain)
    away = torch.stack([haar.sample(D_MODEL, seed=100 + s)[:, 21] for s in SEEDS])
    weight, bias = models.weight.clone(), models.bias.clone()
    weight[:, 0] -= 10 * away
    bias[:, 0] = 10 * CONSTANT
    moved = models.activations + CONSTANT * away[:, None, None]
    return replace(models, activations=moved, weight=weight, bias=bias)


def of_other_sequences(chain: Chain) -> ChainModels:
    """Every seed's states are of the sequences of another order."""
    models = knows_the_state(chain)
    orders = [torch.randperm(SEQUENCES, generator=generator(s, 6)) for s in SEEDS]
    moved = [x[order] for x, order in zip(models.activations, orders, strict=True)]
    return replace(models, activations=torch.stack(moved))


def out_of_order(chain: Chain) -> ChainModels:
    """The states of every sequence, at positions that say nothing of their order."""
    models = knows_the_state(chain)
    length = models.targets.shape[1]
    order = torch.rand(SEQUENCES, length, generator=generator(7)).argsort(1)
    index = order[None, :, :, None].expand(len(SEEDS), -1, -1, D_MODEL)
    return replace(models, activations=models.activations.gather(2, index))


class PlantedChains(Suite):
    """Models of the four-state chain that are given, and those of other chains that know them."""

    def __init__(self, chain: ChainModels) -> None:
        super().__init__("planted", SEEDS, (SITE,))
        self.chain = chain
        self.untrained_chain = knows_nothing(ring(4))

    def other_chain(self, name: str) -> ChainModels:
        if name == "markov-two-rows":
            return knows_one_bit()
        return knows_the_state(ring({"markov-5": 5, "markov-6": 6}[name]))


def lookup(seeds: int) -> QuestionModels:
    """Training answers by heart: a direction for each of them; held-out questions at random."""
    answers = modular.answers(modular.questions())
    guessed = torch.randint(modular.MODULUS, answers.shape, generator=generator(8))
    given = torch.where(modular.is_training(), answers, guessed)
    spaces = [haar.sample(128, seed=200 + i)[:, : modular.MODULUS] for i in range(seeds)]
    directions = torch.stack([space.mT for space in spaces])
    points = one_hot(given, modular.MODULUS).double()
    bias = torch.zeros(seeds, modular.MODULUS, dtype=torch.float64)
    return QuestionModels(points @ directions, directions, bias)


class PlantedAddition(Suite):
    """Models of modular addition at four times; by default they learn it and stay so."""

    def __init__(self, **times: QuestionModels) -> None:
        super().__init__("planted", SEEDS[:3], ("resid_post.1",))
        known = cyclic(3)
        self._times = {
            MEMORISED: lookup(3),
            GROKKED: known,
            END: known,
            END_WITHOUT_DECAY: known,
            **{name.replace("_", "-"): models for name, models in times.items()},
        }

    def questions(self, checkpoint: str) -> QuestionModels:
        return self._times[checkpoint]


class PlantedDelays(Suite):
    """Delays of grokking that go as a power of the weight decay."""

    def __init__(self, power: float, *, missing: int = 0) -> None:
        super().__init__("planted", SEEDS[:3], ("resid_post.1",))
        draw = generator(9)
        self.delays = {
            decay: [
                None
                if decay == 0.3 and repetition < missing
                else round(3_000 * decay**power * float(torch.rand(1, generator=draw) / 5 + 0.9))
                for repetition in range(12)
            ]
            for decay in (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
        }
