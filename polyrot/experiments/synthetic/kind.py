"""Synthetic activations at one site, whose truth is known."""

from polyrot.suites.kind import Kind, Lazy, Worlds

HERE = "polyrot.experiments.synthetic"

KIND = Kind(
    worlds=(
        Worlds(
            (
                "haar",
                "identity",
                "mean-shift-only",
                "permutation",
                "signed-permutation",
                "partial",
                "basis-aligned-axes",
                "linear-3",
                "linear-10",
                "noise-0.1",
                "noise-0.3",
                "noise-1",
                "shuffled-inside",
                "shuffled-outside",
                "shuffled-tokens",
                "gaussian-matched",
                "unrelated",
            ),
            Lazy(f"{HERE}.worlds:WorldSuite"),
            "activations: five seeds at one site, d = 64",
            claims="PIR-02..10 X-01..02",
        ),
    ),
    order=0,
)
