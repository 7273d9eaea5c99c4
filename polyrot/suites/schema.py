"""Suite files: which models, at which sites, on which tokens, with which autoencoders.

TOML, validated as a whole: every problem is reported with its line, and nothing is loaded.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from polyrot.suites.lines import Location, line_of

BUILTIN = Path(__file__).parent / "builtin"
"""The suite files that come with polyrot."""


class SuiteFileError(ValueError):
    """A suite file that cannot be used; the message holds a line for every problem."""

    def __init__(self, path: Path, problems: list["Problem"]) -> None:
        """Say what is wrong with a file, in the order of its lines."""
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(f"{path}:{p.line}: {p}" for p in self.problems))


@dataclass(frozen=True)
class Problem:
    """What is wrong with a suite file, and where."""

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _claim(value: str) -> str:
    if not re.fullmatch(r"[A-Z]+-\d+", value):
        raise ValueError(f"expected the id of a claim, say PIR-05, but got {value!r}")
    return value


def _site(value: str) -> str:
    if not re.fullmatch(r"resid_(pre|post)\.\d+|final_norm", value):
        raise ValueError(
            f"expected resid_pre.N, resid_post.N or final_norm (behind the last norm) "
            f"but got {value!r}"
        )
    return value


def _all(value: Any) -> Any:
    """Read `"all"` as the empty list."""
    if isinstance(value, str):
        if value != "all":
            raise ValueError(f'expected "all" or a list but got {value!r}')
        return []
    return value


Claim = Annotated[str, AfterValidator(_claim)]
Site = Annotated[str, AfterValidator(_site)]
Claims = Annotated[list[Claim], BeforeValidator(_all)]
Sites = Annotated[list[Site], BeforeValidator(_all)]
Seed = Annotated[int, Field(ge=0)]


class Models(_Table):
    """One model, or with `seeds` several whose place holds `{seed}`."""

    seed: Seed | None = None
    seeds: list[Seed] = []
    hub: str = ""
    """Id on the hub, say `EleutherAI/pythia-70m-seed{seed}`."""
    revision: str = "main"
    """Branch, tag or commit on the hub."""
    folder: str = ""
    """Written by `save_pretrained`; relative to the suite file."""
    artifact: str = ""
    """What `polyrot train` makes, say `textlm`."""
    earlier: list[str] = []
    """Checkpoints of the same run, the first half way: revisions of the hub, or folders."""
    untrained: str = ""
    """Before training: a revision or folder.  By default drawn from the architecture."""

    @model_validator(mode="after")
    def _consistent(self) -> "Models":
        if (self.seed is None) is (not self.seeds):
            raise ValueError("expected either seed or seeds")
        places = [name for name in ("hub", "folder", "artifact") if getattr(self, name)]
        if len(places) != 1:
            found = " and ".join(places) or "none"
            raise ValueError(f"expected one of hub, folder and artifact but got {found}")
        place = self.hub or self.folder
        if self.seeds and place and "{seed}" not in place + self.revision:
            raise ValueError(f"expected {{seed}} in {place!r}, where seeds are several")
        if self.revision != "main" and not self.hub:
            raise ValueError("expected revision only where the model is on the hub")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return tuple(self.seeds) or ((self.seed,) if self.seed is not None else ())


class Tokens(_Table):
    """What the models run on: a data set, text files, or a file of tokens.

    By default the text of Python's standard library, which every machine has.
    """

    dataset: str = ""
    """Data set on the hub."""
    split: str = "train"
    field: str = "text"
    """Of the data set, which holds the text."""
    files: list[str] = []
    """Text files, patterns allowed; relative to the suite file."""
    file: str = ""
    """`.npy` or `.safetensors` of token ids, `[sequence, position]`."""
    tokenizer: str = ""
    """Folder or hub id; by default that of the first model."""
    sequences: Annotated[int, Field(ge=8)] = 256
    """To analyse; as many others train the autoencoders."""
    length: Annotated[int, Field(ge=8)] = 256
    """Tokens of a sequence."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Sequences that run together."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the sequences that no fit sees."""

    @model_validator(mode="after")
    def _one_source(self) -> "Tokens":
        sources = [name for name in ("dataset", "files", "file") if getattr(self, name)]
        if len(sources) > 1:
            raise ValueError(f"expected one of dataset, files and file but got {sources}")
        return self


class Autoencoders(_Table):
    """How sparse autoencoders are trained, or where trained ones are."""

    expansion: Annotated[int, Field(ge=1)] = 8
    l1: Annotated[float, Field(ge=0)] = 1e-5
    steps: Annotated[int, Field(ge=1)] = 4_000
    batch: Annotated[int, Field(ge=1)] = 4_096
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    folder: str = ""
    """Of existing ones, with `{seed}` and `{site}` in it; relative to the suite file."""

    @model_validator(mode="after")
    def _placeholders(self) -> "Autoencoders":
        missing = [p for p in ("{seed}", "{site}") if self.folder and p not in self.folder]
        if missing:
            raise ValueError(f"expected {' and '.join(missing)} in folder {self.folder!r}")
        return self


class Contrast(_Table):
    """A steering vector: what it points to and away from, one text a line."""

    name: str
    toward: str
    """Text file, relative to the suite file."""
    away: str


class Steering(_Table):
    """Where steering vectors act, and what they stand for."""

    site: Site = ""
    """By default behind the block in the middle."""
    contrasts: list[Literal["code", "string", "comment"]] = ["code", "string", "comment"]
    """Of the standard library's text: against prose, against numbers, against statements."""
    own: list[Contrast] = []


class SuiteFile(_Table):
    """A suite of language models that should compute the same function."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    models: Annotated[list[Models], Field(min_length=1)]
    controls: list[Models] = []
    """Models of another task, as wide: for controls."""
    sites: Sites = []
    """In the order of depth, the last is the late one; all of the residual stream if empty."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """In which weights are loaded."""
    claims: Claims = []
    """Which apply; all if empty."""
    tokens: Tokens = Tokens()
    sae: Autoencoders = Autoencoders()
    steering: Steering = Steering()
    published: Mapping[Claim, str] = {}
    """Printed values, shown beside the verdicts."""

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(seed for entry in self.models for seed in entry.all_seeds)


def read_suite_file(path: Path) -> SuiteFile:
    """Read a suite file.

    Raises:
        FileNotFoundError: where there is none.
        SuiteFileError: with every problem in it and its line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected a suite file but there is no file {path}")
    text = path.read_text(encoding="utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = int(place[1]) if place else len(text.splitlines())
        message = str(error).replace(place[0] if place else "", "")
        raise SuiteFileError(path, [Problem(line, "", f"no valid TOML: {message}")]) from None
    problems = [
        Problem(line_of(text, location), dotted(location), message)
        for location, message in _across(data)
    ]
    try:
        file = SuiteFile.model_validate(data)
    except ValidationError as error:
        for item in error.errors():
            location = item["loc"]
            problems.append(Problem(line_of(text, location), dotted(location), _sentence(item)))
    if problems:
        raise SuiteFileError(path, list(dict.fromkeys(problems)))
    return file


def builtin_files() -> dict[str, Path]:
    """The suite files that come with polyrot, by name."""
    return {path.stem: path for path in sorted(BUILTIN.glob("*.toml"))}


def _across(data: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield what no single table shows, also of a file that has other problems."""
    entries = data.get("models")
    seeds: list[tuple[Location, int]] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        for key in ("seed", "seeds"):
            value = entry.get(key, []) if isinstance(entry, dict) else []
            for seed in value if isinstance(value, list) else [value]:
                if isinstance(seed, int):
                    seeds.append((("models", index, key), seed))
    counts = Counter(seed for _, seed in seeds)
    for location, seed in seeds:
        if counts[seed] > 1:
            yield location, f"expected every seed once but got {seed} {counts[seed]} times"
    if isinstance(entries, list) and len(counts) == 1:
        yield ("models",), "expected at least two seeds: claims compare models with each other"
    sites = data.get("sites")
    if isinstance(sites, list):
        for site, count in Counter(map(str, sites)).items():
            if count > 1:
                yield ("sites",), f"expected every site once but got {site} {count} times"


def _sentence(item: Mapping[str, Any]) -> str:
    """Say what pydantic found, in the words of the other messages."""
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]} but got {item['input']!r}"


def dotted(location: Location) -> str:
    """Write a place in a suite file: `models[2].folder`, counted from 1."""
    text = ""
    for part in location:
        if part == "[key]":  # what pydantic calls the key of a table
            continue
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
