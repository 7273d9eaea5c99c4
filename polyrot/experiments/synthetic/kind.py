"""Synthetic activations at one site, whose truth is known."""

from polyrot.suites.kind import Kind, Lazy, Worlds

HERE = "polyrot.experiments.synthetic"
SAME_BASIS = ("identity", "mean-shift-only")
PERMUTED = ("permutation", "signed-permutation")
NOTHING_SHARED = ("shuffled-tokens", "gaussian-matched", "unrelated")
"""Worlds in which no token's activations say anything of those of another seed."""

KIND = Kind(
    worlds=(
        Worlds(
            (
                "haar",
                *SAME_BASIS,
                *PERMUTED,
                "partial",
                "basis-aligned-axes",
                "linear-3",
                "linear-10",
                "noise-0.1",
                "noise-0.3",
                "noise-1",
                "shuffled-inside",
                "shuffled-outside",
                *NOTHING_SHARED,
            ),
            Lazy(f"{HERE}.worlds:WorldSuite"),
            "activations: five seeds at one site, d = 64",
            claims="PIR-02..10 PIR-22..23 X-01..02",
        ),
    ),
    order=0,
)
