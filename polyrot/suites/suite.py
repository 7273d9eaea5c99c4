"""What claims are measured on: seeds, activations, autoencoders and pairs of them.

Where they come from is a subclass's business.  What a suite lacks makes the claims that
need it NOT RUN, with a reason; it is no error.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from polyrot.capabilities.joint_pairs import JointPairs
from polyrot.capabilities.pairs import Pair, PairMeasure, World, as_trained, over_pairs
from polyrot.cores.extraction import Core, extract
from polyrot.cores.gramians import Tail
from polyrot.errors import NotRun
from polyrot.models.harvest import Activations, real_labels
from polyrot.models.transformer import StackedTransformer
from polyrot.sae.model import SAE
from polyrot.stats.estimate import Estimate
from polyrot.tasks.dyck import LabelledSequences

if TYPE_CHECKING:
    from polyrot.capabilities.steering import Steered
    from polyrot.experiments.addition.models import QuestionModels
    from polyrot.experiments.agreement.axes import Study
    from polyrot.experiments.agreement.readers import Reader
    from polyrot.experiments.chains.models import ChainModels
    from polyrot.experiments.letters.budgets import Budget
    from polyrot.experiments.planted.samples import Samples
    from polyrot.experiments.planted.suite import Decoder, Dictionary
    from polyrot.tasks.agreement import Prompts

LATE_SITE = "resid_post.1"
"""The paper's late sites, `resid_post_1` and `resid_pre_2`, are one tensor."""

PLANTED = "planted subspaces; run it with --suite subspaces"
READERS = "language models that read English; run it with --suite agreement or gpt2"


class Suite:
    """Seeds that should compute the same function, and what is measured on them."""

    def __init__(self, name: str, seeds: tuple[int, ...], sites: tuple[str, ...]) -> None:
        """Name the suite, its seeds and its sites; the last site is the late one."""
        self.name = name
        self.seeds = seeds
        self.sites = sites
        self.late_site = sites[-1]
        self.earlier: tuple[str, ...] = ("half way",)
        self.studies: dict[tuple[int, str], Study] = {}
        """Of agreement: what was read of a model is read once."""
        self._cores: dict[int, Core] = {}
        self._pairs: dict[str, dict[tuple[int, int], Pair]] = {}

    @cached_property
    def models(self) -> StackedTransformer:
        """The seeds' models, stacked."""
        raise self._lacks("models")

    @cached_property
    def untrained(self) -> StackedTransformer:
        """The same before training."""
        raise self._lacks("models")

    @cached_property
    def lowest_accuracy(self) -> float:
        """Of any seed, on any head of any held-out set, when training ended."""
        raise self._lacks("models")

    @cached_property
    def shares_io(self) -> bool:
        """Do the seeds share their embedding and unembeddings?"""
        raise self._lacks("models")

    def cohort(self, name: str) -> StackedTransformer:
        """The models of another built-in cohort, to compare with."""
        raise self._lacks(f"cohort {name} to compare with")

    def check_sharing(self, *, shared_io: bool) -> None:
        """Raise NotRun where the seeds share more, or less, than a claim is about."""
        if self.shares_io != shared_io:
            what = "share their embedding and unembeddings" if shared_io else "share nothing"
            name = "dyck3" if shared_io else "dyck3-independent"
            raise NotRun(f"the claim is about seeds that {what}; run it with --suite {name}")

    def short_of(self, accuracy: float) -> str:
        """Say how the seeds fall short of the accuracy that a bar presumes; empty if none does."""
        lowest = self.lowest_accuracy
        if lowest >= accuracy:
            return ""
        return (
            f"the paper's seeds reach {accuracy:.2%} on held-out data, the worst here {lowest:.3%}"
        )

    @cached_property
    def tokens(self) -> LabelledSequences:
        """The analysis batch, one for all seeds."""
        raise self._lacks("models")

    @cached_property
    def labels(self) -> dict[str, Int[Tensor, " token"]]:
        """The true answers at the tokens of `activations`, by output head."""
        return real_labels(self.tokens)

    @cached_property
    def activations(self) -> Activations:
        """Of every seed on the same tokens."""
        raise self._lacks("activations")

    @cached_property
    def untrained_activations(self) -> Activations:
        """Of every seed before training, on those tokens."""
        raise self._lacks("activations before training")

    @cached_property
    def half_way_activations(self) -> Activations:
        """Of every seed half way through its training, on those tokens."""
        raise self._lacks("checkpoints from half way through training")

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        """Tokens of the sequences that no fit sees."""
        raise self._lacks("held-out tokens")

    def earlier_activations(self, index: int) -> Activations:
        """Of every seed at one of the checkpoints that `earlier` names, on those tokens."""
        return self.half_way_activations

    def component_models(self, *, trained: bool = True) -> Iterable[nn.Module]:
        """The models whose components are ablated: one stack, or one model a seed."""
        return [self.models if trained else self.untrained]

    @cached_property
    def component_tokens(self) -> tuple[Int[Tensor, "_ position"], Int[Tensor, "_ position"]]:
        """Of language models: what components' means are of, and what effects are measured on."""
        raise self._lacks("language models")

    @cached_property
    def steered(self) -> "Steered":
        """The models, to be steered at one site."""
        # Imported here: it is about suites.
        from polyrot.experiments.dyck.steering import DyckSteered

        return DyckSteered.of(self)

    @property
    def core_site(self) -> str:
        """Where cores are extracted: what follows takes every token by itself."""
        return self.late_site

    def core(self, seed: int) -> Core:
        """The core of a model at `core_site`, of the tokens that are not held out."""
        if seed not in self._cores:
            x = self.activations.at(self.core_site)[self.index(seed), ~self.held_out]
            self._cores[seed] = extract(x, self.tail(seed))
        return self._cores[seed]

    def tail(self, seed: int) -> Tail:
        """The rest of a model from `core_site`, to all of its logits."""
        raise self._lacks("models whose cores can be extracted")

    @cached_property
    def chain(self) -> "ChainModels":
        """The seeds at the site of their core, where they predict a Markov chain."""
        raise self._lacks("models of a Markov chain; run it with --suite markov")

    @cached_property
    def untrained_chain(self) -> "ChainModels":
        """The same before training."""
        raise self._lacks("models of a Markov chain before training")

    def other_chain(self, name: str) -> "ChainModels":
        """As many seeds that predict another chain: see `polyrot.models.encoder_cohorts.CHAINS`."""
        raise self._lacks("models of other Markov chains")

    def questions(self, checkpoint: str) -> "QuestionModels":
        """The seeds at the site of their core at a time of learning modular addition.

        See `polyrot.experiments.addition.suite.CHECKPOINTS`.
        """
        raise self._lacks("models of modular addition; run it with --suite modular-addition")

    @cached_property
    def curves(self) -> Mapping[str, Any]:
        """How accuracies and cores went while modular addition was learned, by branch."""
        raise self._lacks("curves of grokking")

    @cached_property
    def delays(self) -> Mapping[float, list[int | None]]:
        """Steps that grokking took in every repetition, by weight decay."""
        raise self._lacks("delays of grokking; run it with --suite modular-addition")

    @cached_property
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        """Seeds by the size of their language models."""
        raise self._lacks(READERS)

    def reader(self, seed: int, prompts: "Prompts", *, last: str = "") -> "Reader":
        """Let a model read prompts; `last` as for `polyrot.experiments.agreement.readers.LanguageReader`."""
        raise self._lacks(READERS)

    def points(self, dim: int, repetition: int) -> Float[Tensor, "point dim"]:
        """Unit vectors of a feature of so many dimensions; every repetition has its own."""
        raise self._lacks(PLANTED)

    def dictionaries(
        self, experiment: str, arm: str, *, polished: bool = False
    ) -> "list[Dictionary]":
        """Dictionaries that were trained on planted features: see `dictionary_plan`.

        With `polished`, those that started at the planted solution.
        """
        raise self._lacks(PLANTED)

    def decoders(self, arm: str) -> "list[Decoder]":
        """Decoders of a coefficient of rank recovery, one a seed."""
        raise self._lacks(PLANTED)

    @property
    def samples(self) -> "Samples":
        """Tokens that dictionaries needed to find subspaces, by arm and dimension."""
        raise self._lacks(PLANTED)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        """The autoencoder of a model; by default from the SAE seed that all models share."""
        raise self._lacks("autoencoders")

    def control_sae(self, index: int, site: str) -> SAE:
        """An autoencoder unrelated to any model of the suite, from SAE seed 0.

        At `late_site`: of the model at `index` of another task.  At `noise`: of Gaussian
        activations.
        """
        raise self._lacks("autoencoders for controls")

    @cached_property
    def budgets(self) -> Mapping[int, "Budget"]:
        """Autoencoders of two kinds at one budget, by seed; see `polyrot.experiments.letters.budgets`."""
        raise self._lacks("dictionaries to compare; run it with --suite textlm or gpt2-small")

    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> SAE:
        """One of two dictionaries of a model at `late_site`; see `polyrot.capabilities.dictionaries`.

        By default from the SAE seed that all models share.  The first seed may have others, from
        an SAE seed of its own.
        """
        raise self._lacks("dictionaries of subspaces; run it with --suite dyck3-independent")

    def _lacks(self, what: str) -> NotRun:
        return NotRun(f"{self.name} has no {what}")

    def index(self, seed: int) -> int:
        """Position of a seed in the suite's stacks."""
        return self.seeds.index(seed)

    def sae_seed(self, seed: int) -> int:
        """The SAE seed that no other model of the suite uses (0 is the shared one)."""
        return 1 + self.index(seed)

    def seed_pairs(self, *, anchored: bool = False, ordered: bool = True) -> list[tuple[int, int]]:
        """Pairs of different seeds: all ordered ones, each once, or those from the first seed."""
        sources = self.seeds[:1] if anchored else self.seeds
        return [
            (source, target)
            for source in sources
            for target in self.seeds
            if source != target and (ordered or source < target)
        ]

    def pairs(self, site: str, *, anchored: bool = False, ordered: bool = True) -> Iterator[Pair]:
        """Activations of pairs of seeds at a site, with the source's autoencoder."""
        if site not in self._pairs:  # a pair keeps its moments: every claim sees the same pairs
            self._pairs[site] = self._make_pairs(site)
        for seeds in self.seed_pairs(anchored=anchored, ordered=ordered):
            yield self._pairs[site][seeds]

    def _make_pairs(self, site: str) -> dict[tuple[int, int], Pair]:
        trained = self.activations.at(site).unbind(0)
        untrained = self.untrained_activations.at(site).unbind(0)
        joint = JointPairs(trained, self.held_out)
        return {
            (source, target): Pair(
                seeds=(source, target),
                site=site,
                source=trained[self.index(source)],
                target=trained[self.index(target)],
                untrained=untrained[self.index(target)],
                held_out=self.held_out,
                load_sae=partial(self.sae, source, site),
                joint=joint,
            )
            for source, target in self.seed_pairs()
        }

    def checkpoint_pairs(
        self, site: str, *, other_run: bool = False, earlier: int = 0
    ) -> list[Pair]:
        """Pair every seed's checkpoint with its own from half way through training.

        Or, with `other_run`, with those of every other seed; or with another of the checkpoints
        that `earlier` names.
        """
        pairs = self.seed_pairs() if other_run else [(seed, seed) for seed in self.seeds]
        own = self.activations.at(site)
        before = self.earlier_activations(earlier).at(site)
        untrained = self.untrained_activations.at(site)
        return [
            Pair(
                seeds=(source, target),
                site=site,
                source=own[self.index(source)],
                target=before[self.index(target)],
                untrained=untrained[self.index(target)],
                held_out=self.held_out,
                load_sae=partial(self.sae, source, site),
            )
            for source, target in pairs
        ]

    def each_site(
        self,
        measure: PairMeasure,
        world: World = as_trained,
        *,
        anchored: bool = False,
    ) -> dict[str, Estimate]:
        """Average a measurement over the pairs of every site, in a world.

        Over all ordered pairs, or over those whose source is the first seed.
        """
        return {
            site: over_pairs(
                map(world, self.pairs(site, anchored=anchored)),
                measure,
                anchor=self.seeds[0] if anchored else None,
            )
            for site in self.sites
        }

    def rotations(
        self, world: World = as_trained, *, published: bool = False
    ) -> dict[str, Float[Tensor, "pair d_model d_model"]]:
        """Fit the rotations of every site, in a world.

        One for each unordered pair (the other direction is the transpose) on the tokens
        that are not held out; as published, from the first seed on all tokens.
        """
        result = {}
        for site in self.sites:
            pairs = map(world, self.pairs(site, anchored=published, ordered=published))
            fitted = [pair.on_fit_tokens() if published else pair for pair in pairs]
            result[site] = torch.stack([pair.fit(pair).rotation for pair in fitted])
        return result
