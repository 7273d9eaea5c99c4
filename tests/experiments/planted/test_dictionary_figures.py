"""Figures of claims about planted subspaces: which details they draw."""

from polyrot.experiments.planted.figures import ByNumber, angles
from polyrot.stats.estimate import Estimate
from polyrot.verdict.claim import MODELS
from polyrot.verdict.figure import Role
from polyrot.verdict.figures import ByPart, Curve

TEXTS = {"title": "A title", "caption": "Drawn by hand.", "y": "atoms"}


def estimate(**details: float) -> Estimate:
    return Estimate(0.5, 0.4, 0.6, "seed", 5, "by hand", details)


def told(two: float, three: float) -> Estimate:
    return estimate(**{"atoms at 2": two, "atoms at 3": three})


def test_details_are_drawn_against_the_number_in_their_names() -> None:
    draw = ByNumber(
        "one",
        x="dimension",
        numbers=(2, 3),
        curves=(
            Curve("models", Role.MODELS, detail="atoms at {}"),
            Curve("a control", Role.NEGATIVE, "control", "atoms at {}"),
            Curve("without details", Role.NEGATIVE, "bare", "atoms at {}"),
            Curve("not run", Role.NEGATIVE, "gone", "atoms at {}"),
        ),
        log_y=True,
        **TEXTS,
    )
    worlds = {
        MODELS: {"one": told(4, 9), "two": told(1, 1)},
        "control": {"one": told(2, 3)},
        "bare": {"one": estimate()},
    }
    (figure,) = draw(worlds)
    assert (figure.name, figure.x, figure.y, figure.log_y) == ("one", "dimension", "atoms", True)
    assert [own.label for own in figure.series] == ["models", "a control"]
    assert [(own.x, own.y) for own in figure.series] == [
        ((2.0, 3.0), (4.0, 9.0)),
        ((2.0, 3.0), (2.0, 3.0)),
    ]


def test_a_figure_by_part_may_be_of_some_parts() -> None:
    models = {MODELS: {"one": estimate(), "two": estimate()}}
    curves = (Curve("models", Role.MODELS),)
    (every,) = ByPart("all", curves=curves, **TEXTS)(models)
    (one,) = ByPart("one", curves=curves, parts=("one",), **TEXTS)(models)
    assert every.series[0].x == ("one", "two")
    assert one.series[0].x == ("one",)


def test_angles_are_of_groups_and_of_clusters() -> None:
    figure = angles([(1, 0.5), (2, 3.0)], iter([(1, 60.0)]), bar=5)
    assert [(own.role, own.x, own.y) for own in figure.series] == [
        (Role.MODELS, (1.0, 2.0), (0.5, 3.0)),
        (Role.NEGATIVE, (1.0,), (60.0,)),
    ]
    assert figure.bar == (5,)
