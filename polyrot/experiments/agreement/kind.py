"""Language models before a verb: three sizes trained here, and GPT-2 (arXiv 2602.22600)."""

from pathlib import Path

from polyrot.experiments.language.listing import built_in
from polyrot.suites.kind import Kind, Lazy, Provider, Trainer, Worlds, capability_fixture

HERE = "polyrot.experiments.agreement"
LANGUAGE = "polyrot.experiments.language"

KIND = Kind(
    suites=built_in(Path(__file__).parent, default=("agreement", "agreement-medium")),
    suite=Lazy(f"{LANGUAGE}.suite:LanguageSuite"),
    load=Lazy(f"{LANGUAGE}.loading:load"),
    provenance=Lazy(f"{LANGUAGE}.loading:provenance"),
    needs=Lazy(f"{LANGUAGE}.loading:needs"),
    worlds=(
        Worlds(
            ("verb-one-axis", "verb-two-axes", "verb-shared", "verb-label-alone", "verb-apart"),
            Lazy(f"{HERE}.worlds:VerbWorld"),
            "verb: five seeds of d = 12 and five of d = 16",
            claims="CORE-11..12",
        ),
    ),
    trainers=(Trainer(("agreement",), Lazy(f"{HERE}.train:train"), devices=("cpu", "cuda")),),
    providers=(
        Provider(
            Lazy(f"{HERE}.studies:Readers"),
            Lazy(f"{LANGUAGE}.suite:LanguageSuite"),
            Lazy(f"{HERE}.language:LanguageReaders"),
        ),
    ),
    order=40,
)

readers = capability_fixture(
    f"{HERE}.studies:Readers", "Models that read prompts of subject-verb agreement, by size."
)
