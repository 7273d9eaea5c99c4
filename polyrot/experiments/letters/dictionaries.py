"""The group SAE and the TopK SAE of a suite's language models, trained on first use."""

from functools import cache, cached_property, partial

from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.autoencoders import TrainedAutoencoders
from polyrot.errors import NotRun
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.letters.budgets import (
    COLUMNS,
    SUBSPACES,
    Budgets,
    MatchedDictionaries,
    Words,
)
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.tasks.letters import first_letters

SAE_SEEDS = 3
"""Number of SAE seeds if a suite has one model; otherwise each model has a different one."""
SEQUENCES = 256
"""Limit on scored sequences: the activations of all latents are held at once."""
FIT_WORDS, WORD_TOKENS = 16_384, 4
"""Limit on words to fit probes on, and an upper bound on the mean number of tokens per word."""


class LanguageDictionaries(Budgets):
    """Matched SAEs that are trained, or read from the cache, on first use."""

    def __init__(self, suite: LanguageSuite) -> None:
        """Store the recipe of a suite file; nothing is loaded yet.

        Raises:
            NotRun: if there is none, or it does not fit the models.
        """
        self._suite = suite
        table = suite.file.dictionaries
        if table is None:
            raise NotRun(
                f"{suite.name} has no dictionaries to compare; describe them as [dictionaries] in "
                "the suite file"
            )
        self._table, self._site = table, table.site or suite.middle_site
        if self._site not in suite.sites:
            raise NotRun(
                f"dictionaries.site: expected one of {', '.join(suite.sites)} but got {self._site}"
            )
        try:
            self._rules[SUBSPACES].check(table.expansion * suite.d_model)
        except ValueError as error:
            raise NotRun(f"dictionaries: {error}") from None

    @cached_property
    def budgets(self) -> dict[int, MatchedDictionaries]:
        """Return the SAEs of each unit, which is a model, or an SAE seed of the only model."""
        suite = self._suite
        scored = suite.data.analysis[:SEQUENCES]
        fit = suite.data.sae[: 1 + WORD_TOKENS * FIT_WORDS // suite.data.sae.shape[1]]
        letters, fit_letters = (
            first_letters(suite.tokenizer(), tokens) for tokens in (scored, fit)
        )
        activations = suite.harvest_models(scored).at(self._site)
        result = {}
        for index, (model, unit) in enumerate(self._units):
            x = activations[model]
            trained_on = self._activations[model][: len(fit_letters)]
            words = Words.among(trained_on, fit_letters, x, letters, fit_words=FIT_WORDS)
            result[unit] = MatchedDictionaries(words, x, partial(self._load, index), unit)
        return result

    @property
    def _units(self) -> list[tuple[int, int]]:
        """List each unit: the position of its model, and its key in `budgets`."""
        seeds = self._suite.seeds
        if len(seeds) > 1:
            return list(enumerate(seeds))
        return [(0, sae_seed) for sae_seed in range(1, 1 + SAE_SEEDS)]

    @property
    def _rules(self) -> dict[str, GroupTopK | TopK]:
        groups, rank = self._table.groups, self._table.rank
        return {SUBSPACES: GroupTopK(groups, rank), COLUMNS: TopK(groups * rank)}

    @cached_property
    def _activations(self) -> Float[Tensor, "model token d_model"]:
        return self._suite.harvest_models(self._suite.data.sae).at(self._site)

    def _load(self, unit: int, arm: str, half: bool) -> SAE:
        return self._trained(arm, half)[unit]

    @cache  # noqa: B019 - it lives as long as its suite
    def _trained(self, arm: str, half: bool) -> list[SAE]:
        """Train an arm for every unit, on all tokens, or on half of them with half the steps."""
        table = self._table
        recipe = SAEConfig(
            expansion=table.expansion,
            steps=table.steps // 2 if half else table.steps,
            batch=table.batch,
            learning_rate=table.learning_rate,
            activation=self._rules[arm],
            nuclear=table.nuclear if arm == SUBSPACES else 0.0,
            auxiliary=table.auxiliary,
            decay=table.decay,
        )
        count, length = self._suite.data.sae.shape
        tokens = (count // 2 if half else count) * length
        data = [self._activations[model][:tokens] for model, _ in self._units]
        autoencoders = TrainedAutoencoders(
            f"{self._suite.name}: {arm}, {'half of the' if half else 'all'} tokens",
            recipe,
            lambda site: data,
            self._suite.progress,
            self._suite.device,
        )
        return autoencoders.at(self._site, list(range(1, 1 + len(data))))
