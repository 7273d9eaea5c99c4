"""Sparse autoencoders of planted subspaces (arXiv 2606.06333)."""

from polyrot.suites.kind import Kind, Lazy, Listed, Trainer, Worlds, capability_fixture

HERE = "polyrot.experiments.planted"

KIND = Kind(
    suites=(
        Listed(
            "subspaces",
            "dictionaries trained on planted subspaces, up to 12 seeds; shipped",
            claims="SASA-01..07",
            default=True,
            cohorts=("subspaces",),
        ),
        Listed(
            "subspaces-full",
            "the same in the paper's sizes; `polyrot train subspaces-full` first (long)",
            claims="SASA-01 SASA-06..07",
            cohorts=("subspaces-full",),
        ),
    ),
    suite=Lazy(f"{HERE}.suite:DictionarySuite"),
    load=Lazy(f"{HERE}.suite:load"),
    provenance=Lazy(f"{HERE}.suite:provenance"),
    worlds=(
        Worlds(
            ("points-sphere", "points-axes", "points-circle"),
            Lazy(f"{HERE}.worlds:PointWorld"),
            "points: five repetitions",
            claims="SASA-01..02",
        ),
        Worlds(
            ("dictionary-groups", "dictionary-split", "dictionary-merged", "dictionary-elsewhere"),
            Lazy(f"{HERE}.worlds:DictionaryWorld"),
            "dictionary: the seeds of `subspaces`",
            claims="SASA-03..04 SASA-06..07",
        ),
        Worlds(
            ("samples-power", "samples-exponential"),
            Lazy(f"{HERE}.worlds:SampleWorld"),
            "samples: the repetitions of `subspaces`",
            claims="SASA-05",
        ),
    ),
    trainers=(Trainer(("subspaces", "subspaces-full"), Lazy(f"{HERE}.train:train")),),
    order=50,
)

points = capability_fixture(f"{HERE}.suite:Points", "Unit vectors of features.")
dictionaries = capability_fixture(
    f"{HERE}.suite:Dictionaries", "Sparse autoencoders that were trained on planted subspaces."
)
sample_counts = capability_fixture(
    f"{HERE}.suite:SampleCounts", "How many tokens it took to recover subspaces."
)
