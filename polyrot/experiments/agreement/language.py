"""Language models that read the published prompts."""

from collections.abc import Mapping
from functools import cached_property, partial

from polyrot.errors import NotRun
from polyrot.experiments.agreement.readers import LanguageReader, copulas
from polyrot.experiments.agreement.studies import Readers
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.models import hub
from polyrot.tasks.agreement import Prompts


class LanguageReaders(Readers):
    """The models of a suite file."""

    def __init__(self, suite: LanguageSuite) -> None:
        super().__init__()
        self.name, self.seeds = suite.name, suite.seeds
        self._suite = suite

    @cached_property
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        """One group for each `[[models]]` table, named by its `size` or the width of its models."""
        suite = self._suite
        groups: dict[str, tuple[int, ...]] = {}
        for entry in suite.file.models:
            checkpoint = suite.checkpoints[suite.index(entry.all_seeds[0])]
            name = entry.size or f"width {hub.architecture(checkpoint).hidden_size}"
            groups[name] = (*groups.get(name, ()), *entry.all_seeds)
        return groups

    def width(self, seed: int) -> int:
        suite = self._suite
        return int(hub.architecture(suite.checkpoints[suite.index(seed)]).hidden_size)

    def reader(self, seed: int, prompts: Prompts, *, last: str = "") -> LanguageReader:
        """Let a model read prompts.

        Raises:
            NotRun: if a verb is not a single token, or the prompts are longer than the model's
                context.
        """
        suite = self._suite
        tokenizer = suite.tokenizer()
        tokens = tokenizer(prompts.texts)["input_ids"]
        checkpoint = suite.checkpoints[suite.index(seed)]
        longest = max(map(len, tokens))
        context = getattr(hub.architecture(checkpoint), "max_position_embeddings", None) or longest
        if longest > context:
            raise NotRun(f"prompts have up to {longest} tokens and {checkpoint} reads {context}")
        return LanguageReader(
            partial(suite.language_model, seed),
            tokens,
            copulas(tokenizer),
            batch=suite.file.tokens.batch,
            last=last,
        )
