"""Encoders that predict a Markov chain (arXiv 2602.22600)."""

from polyrot.suites.kind import Kind, Lazy, Listed, Trainer, Worlds, capability_fixture

HERE = "polyrot.experiments.chains"
CHAINS = ("markov", "markov-5", "markov-6", "markov-two-rows")

KIND = Kind(
    suites=(
        Listed(
            "markov",
            "encoders that predict a Markov chain, 5 seeds; shipped",
            claims="CORE-01..06 PIR-04..09 PIR-22..23 X-01",
            default=True,
            cohorts=CHAINS,
        ),
    ),
    suite=Lazy(f"{HERE}.suite:MarkovSuite"),
    load=Lazy(f"{HERE}.suite:load"),
    provenance=Lazy(f"{HERE}.suite:provenance"),
    worlds=(
        Worlds(
            (
                "chain-state",
                "chain-apart",
                "chain-together",
                "chain-one-bit",
                "chain-hears-noise",
                "chain-loud-voice",
                "chain-needs-its-mean",
                "chain-own-third",
                "chain-other-sequences",
                "chain-out-of-order",
            ),
            Lazy(f"{HERE}.worlds:ChainWorld"),
            "chain: five seeds at one site, d = 64",
            claims="CORE-01..06",
        ),
    ),
    trainers=(Trainer(CHAINS, Lazy(f"{HERE}.train:train")),),
    order=20,
)

chains = capability_fixture(
    f"{HERE}.models:Chains",
    "Encoders that predict a Markov chain, before training too, and of other chains.",
)
