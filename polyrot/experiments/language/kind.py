"""Causal language models: suite files, built in or a user's, and `textlm`, trained here."""

from pathlib import Path

from polyrot.experiments.language.listing import built_in
from polyrot.suites.kind import Kind, Lazy, Provider, Trainer

HERE = "polyrot.experiments.language"

KIND = Kind(
    suites=built_in(Path(__file__).parent / "builtin"),
    suite=Lazy(f"{HERE}.suite:LanguageSuite"),
    load=Lazy(f"{HERE}.loading:load"),
    find=Lazy(f"{HERE}.listing:find"),
    more=(("FILE.toml", "your own models; {guide} says how"),),
    provenance=Lazy(f"{HERE}.loading:provenance"),
    needs=Lazy(f"{HERE}.loading:needs"),
    file_problems=Lazy(f"{HERE}.validation:problems_of"),
    file_summary=Lazy(f"{HERE}.summary:summary"),
    trainers=(
        Trainer(("textlm",), Lazy(f"{HERE}.train:train"), devices=("cpu", "cuda"), on_demand=True),
    ),
    providers=(
        Provider(
            Lazy("polyrot.capabilities.steering:Steered"),
            Lazy(f"{HERE}.suite:LanguageSuite"),
            Lazy(f"{HERE}.steering:steered_models"),
        ),
    ),
    order=70,
)
