"""Fields of a suite file that contradict or require each other.

Checked on the parser's result, so that all other problems are reported in the same pass.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from polyrot.experiments.language.toml_lines import Location

PLACES = ("hub", "folder", "artifact")
SOURCES = ("dataset", "files", "file")

Found = Iterator[tuple[Location, str]]
"""Locations and messages."""
Table = dict[str, Any]


def inconsistencies(data: Table) -> Found:
    """Find the inconsistencies in a parsed suite file."""
    for key in ("models", "controls"):
        for location, entry in _tables(data, key):
            yield from _of_models(entry, location)
        yield from _of_seeds(data, key)
    yield from _of_checkpoints(data)
    yield from _of_sites(data.get("sites"))
    sources = [name for name in SOURCES if _table(data, "tokens").get(name)]
    if len(sources) > 1:
        yield ("tokens",), f"expected one of {_listed(SOURCES)} but got {' and '.join(sources)}"
    folder = _text(_table(data, "sae"), "folder")
    missing = [place for place in ("{seed}", "{site}") if folder and place not in folder]
    if missing:
        yield ("sae", "folder"), f"expected {' and '.join(missing)} in {folder!r}"
    yield from _of_contrasts(_table(data, "steering"))


def _of_models(entry: Table, location: Location) -> Found:
    one, several = entry.get("seed") is not None, bool(entry.get("seeds"))
    if one is several:
        yield location, "expected either seed or seeds"
    places = [name for name in PLACES if entry.get(name)]
    if len(places) != 1:
        found = " and ".join(places) or "none"
        yield location, f"expected one of {_listed(PLACES)} but got {found}"
    if entry.get("revision") and not entry.get("hub"):
        yield (*location, "revision"), "applies only to a model on the hub"
    for key in ("earlier", "untrained"):
        if entry.get(key) and places == ["artifact"]:
            yield (*location, key), "applies only to a model on the hub or in a folder"
    if not several:
        return
    hub, folder = _text(entry, "hub"), _text(entry, "folder")
    if (hub or folder) and "{seed}" not in hub + folder + _text(entry, "revision"):
        where = "hub" if hub else "folder"
        yield (*location, where), f"expected {{seed}} in {hub or folder!r}: there are several seeds"
    earlier = entry.get("earlier")
    for index, name in enumerate(earlier if isinstance(earlier, list) else []):
        if "{seed}" not in hub + str(name):
            place = (*location, "earlier", index)
            yield place, f"expected {{seed}} in {name!r}: seeds have different checkpoints"


def _of_seeds(data: Table, key: str) -> Found:
    seeds: list[tuple[Location, int]] = []
    for location, entry in _tables(data, key):
        for name in ("seed", "seeds"):
            value = entry.get(name, [])
            for seed in value if isinstance(value, list) else [value]:
                if isinstance(seed, int):
                    seeds.append(((*location, name), seed))
    counts = Counter(seed for _, seed in seeds)
    for location, seed in seeds:
        if counts[seed] > 1:
            yield location, f"expected every seed once but got {seed} {counts[seed]} times"
    if key == "models" and len(counts) == 1 and not _table(data, "dictionaries"):
        yield (key,), "expected at least two seeds: claims compare models with each other"


def _of_checkpoints(data: Table) -> Found:
    counted = [
        (location, len(entry.get("earlier", [])))
        for location, entry in _tables(data, "models")
        if isinstance(entry.get("earlier", []), list) and not entry.get("artifact")
    ]
    for location, count in counted:
        if count != counted[0][1]:
            yield (
                (*location, "earlier"),
                f"expected {counted[0][1]} as for the first models but got {count}",
            )


def _of_sites(sites: Any) -> Found:
    seen: dict[str, str] = {}
    for index, name in enumerate(sites if isinstance(sites, list) else []):
        site = canonical(str(name))
        if site in seen:
            other = seen[site]
            alias = "" if other == name else f": {other} is the same"
            yield ("sites", index), f"expected every site once but got {name} again{alias}"
        seen.setdefault(site, str(name))


def _of_contrasts(steering: Table) -> Found:
    listed = steering.get("contrasts", ["code", "string", "comment"])
    named: list[tuple[Location, Any]] = [
        (("steering", "contrasts", index), name)
        for index, name in enumerate(listed if isinstance(listed, list) else [])
    ]
    named += [
        (("steering", *inside, "name"), contrast["name"])
        for inside, contrast in _tables(steering, "own")
        if "name" in contrast
    ]
    seen: set[str] = set()
    for place, name in named:
        if str(name) in seen:
            yield place, f"expected different names of contrasts but got {name!r} again"
        seen.add(str(name))


def canonical(site: str) -> str:
    """Name `resid_pre.i` by the block that wrote it, as `canonical_site` does."""
    kind, _, layer = site.partition(".")
    if kind == "resid_pre" and layer.isdigit() and int(layer) > 0:
        return f"resid_post.{int(layer) - 1}"
    return site


def _table(data: Table, key: str) -> Table:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _tables(data: Table, key: str) -> Iterator[tuple[Location, Table]]:
    """Yield the tables of an array, and where they are."""
    value = data.get(key)
    for index, entry in enumerate(value if isinstance(value, list) else []):
        if isinstance(entry, dict):
            yield (key, index), entry


def _text(table: Table, key: str) -> str:
    value = table.get(key, "")
    return value if isinstance(value, str) else ""


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
