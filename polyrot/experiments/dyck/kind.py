"""Dyck-3 transformers: trained here, or released with "Polymorphism Is Rotation"."""

from polyrot.experiments.dyck.release_name import find_released
from polyrot.suites.kind import Kind, Lazy, Listed, Provider, Trainer, capability_fixture

HERE = "polyrot.experiments.dyck"
BOTH = "PIR-01..10 PIR-12 PIR-14..16 PIR-18..19 PIR-22..23 X-01..02"
"""Claims that apply whether or not seeds share their embedding and unembeddings."""

KIND = Kind(
    suites=(
        Listed(
            "dyck3",
            "Dyck-3 transformers, seeds 0-4, shared embedding and unembeddings; shipped",
            claims=f"{BOTH} PIR-11 PIR-17",
            default=True,
            cohorts=("dyck3", "two-back"),
        ),
        Listed(
            "dyck3-independent",
            "Dyck-3 transformers, seeds 100-104, nothing shared; shipped",
            claims=f"{BOTH} PIR-13 PIR-20..21",
            without=("PIR-13/published",),
            default=True,
            cohorts=("dyck3-independent", "two-back", "dyck3", "dyck3-short"),
        ),
    ),
    suite=Lazy(f"{HERE}.loading:suite_class"),
    load=Lazy(f"{HERE}.loading:load"),
    find=find_released,
    more=(("published:DIR", "checkpoints as the paper's author released them"),),
    provenance=Lazy(f"{HERE}.loading:provenance"),
    verify=Lazy(f"{HERE}.loading:verify"),
    trainers=(
        Trainer(
            ("dyck3", "dyck3-independent", "dyck3-short", "two-back"),
            Lazy(f"{HERE}.train:train"),
            devices=("cpu", "cuda"),
        ),
    ),
    providers=(
        Provider(
            Lazy("polyrot.capabilities.steering:Steered"),
            Lazy(f"{HERE}.suite:DyckModels"),
            Lazy(f"{HERE}.steering:steered_models"),
        ),
    ),
    order=10,
)

dyck = capability_fixture(
    f"{HERE}.suite:DyckModels", "Dyck-3 transformers: weights, predictions and labels."
)
