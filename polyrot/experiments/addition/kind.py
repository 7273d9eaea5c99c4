"""Encoders that grok addition modulo 53 (arXiv 2602.22600)."""

from polyrot.suites.kind import Kind, Lazy, Listed, Trainer, Worlds, capability_fixture

HERE = "polyrot.experiments.addition"
COHORTS = ("modular-addition", "grokking-sweep")

KIND = Kind(
    suites=(
        Listed(
            "modular-addition",
            "encoders that grok addition modulo 53, 3 seeds; shipped",
            claims="CORE-07..10 PIR-04..09 PIR-22..23 X-01",
            default=True,
            cohorts=COHORTS,
        ),
    ),
    suite=Lazy(f"{HERE}.suite:ModularSuite"),
    load=Lazy(f"{HERE}.suite:load"),
    provenance=Lazy(f"{HERE}.suite:provenance"),
    worlds=(
        Worlds(
            (
                "addition-circles",
                "addition-by-heart",
                "addition-a-direction-each",
                "addition-scattered-15",
                "addition-scattered-60",
                "addition-inflates",
                "addition-inflates-anyway",
            ),
            Lazy(f"{HERE}.worlds:AdditionWorld"),
            "addition: five seeds, d = 128",
            claims="CORE-07..09",
        ),
        Worlds(
            ("delay-inverse", "delay-root", "delay-square", "delay-flat"),
            Lazy(f"{HERE}.worlds:DelayWorld"),
            "delay: twelve repetitions at each of six weight decays",
            claims="CORE-10",
        ),
    ),
    trainers=(Trainer(COHORTS, Lazy(f"{HERE}.train:train")),),
    order=30,
)

addition = capability_fixture(
    f"{HERE}.models:Addition", "Encoders that learn modular addition, at several times."
)
delays = capability_fixture(f"{HERE}.models:Delays", "How long grokking took, by weight decay.")
