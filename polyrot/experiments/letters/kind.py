"""Group and TopK SAEs of language models, probed for first letters (arXiv 2606.06333)."""

from polyrot.suites.kind import Kind, Lazy, Provider, capability_fixture

HERE = "polyrot.experiments.letters"

KIND = Kind(
    providers=(
        Provider(
            Lazy(f"{HERE}.budgets:Budgets"),
            Lazy("polyrot.experiments.language.suite:LanguageSuite"),
            Lazy(f"{HERE}.dictionaries:LanguageDictionaries"),
            table="dictionaries",
        ),
    ),
    order=60,
)

budgets = capability_fixture(
    f"{HERE}.budgets:Budgets", "Group and TopK autoencoders at equal budget, by seed."
)
