"""Suite files: which models, at which sites, on which tokens, with which autoencoders.

TOML, validated as a whole: every problem is reported with its line, and nothing is loaded.
"""

import re
import tomllib
from collections.abc import Mapping
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
)

from polyrot.experiments.language.consistency import canonical, inconsistencies
from polyrot.experiments.language.toml_lines import Location, line_of


class SuiteFileError(ValueError):
    """A suite file that cannot be used; the message has one line per problem."""

    def __init__(self, path: Path, problems: list["Problem"]) -> None:
        """Store the problems of a file in the order of its lines."""
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(f"{path}:{p.line}: {p}" for p in self.problems))


@dataclass(frozen=True)
class Problem:
    """A problem of a suite file, and its location."""

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _claim(value: str) -> str:
    if not re.fullmatch(r"[A-Z]+-\d+", value):
        raise ValueError(f"expected the id of a claim, such as PIR-05, but got {value!r}")
    return value


def _site(value: str) -> str:
    if not re.fullmatch(r"resid_(pre|post)\.\d+|final_norm", value):
        raise ValueError(
            f"expected resid_pre.N, resid_post.N or final_norm (after the last norm) "
            f"but got {value!r}"
        )
    return canonical(value)


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
    """One model; or, with `seeds`, several whose location contains `{seed}`."""

    seed: Seed | None = None
    seeds: list[Seed] = []
    hub: str = ""
    """Id on the hub, for example `EleutherAI/pythia-70m-seed{seed}`."""
    revision: str = "main"
    """Branch, tag or commit on the hub."""
    folder: str = ""
    """Folder written by `save_pretrained`, relative to the suite file."""
    artifact: str = ""
    """Models made by `polyrot train`: `textlm` or `agreement`."""
    earlier: list[str] = []
    """Checkpoints of the same run, the one to judge first: revisions on the hub, or folders."""
    untrained: str = ""
    """Model before training: a revision or folder; by default initialised at random."""
    size: str = ""
    """Name of this size in reports, if a suite has several sizes: for example `small`."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return tuple(self.seeds) or ((self.seed,) if self.seed is not None else ())


class Tokens(_Table):
    """The models' input: a data set, text files, or a file of tokens.

    By default the source text of Python's standard library, which every machine has.
    """

    dataset: str = ""
    """Data set on the hub."""
    split: str = "train"
    field: str = "text"
    """Field of the data set with the text."""
    files: list[Annotated[str, Field(min_length=1)]] = []
    """Text files, patterns allowed; relative to the suite file."""
    file: str = ""
    """`.npy` or `.safetensors` of token ids, `[sequence, position]`."""
    tokenizer: str = ""
    """Folder or hub id; by default the tokenizer of the first model."""
    sequences: Annotated[int, Field(ge=8)] = 256
    """Number of sequences to analyse; equally many others train the autoencoders."""
    length: Annotated[int, Field(ge=8)] = 256
    """Tokens per sequence."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Sequences per batch."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of held-out sequences, which no fit sees."""


class Autoencoders(_Table):
    """The recipe for sparse autoencoders, or the location of trained ones."""

    expansion: Annotated[int, Field(ge=1)] = 8
    l1: Annotated[float, Field(ge=0)] = 1e-5
    steps: Annotated[int, Field(ge=1)] = 4_000
    batch: Annotated[int, Field(ge=1)] = 4_096
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    folder: str = ""
    """Folder of trained ones, containing `{seed}` and `{site}`; relative to the suite file."""


class Dictionaries(_Table):
    """The recipe for a group SAE and a TopK SAE at equal budgets.

    Both have the same width, the same number of active latents (L0) and the same training steps.
    """

    site: Site = ""
    """By default after the middle block."""
    groups: Annotated[int, Field(ge=1)]
    """Active groups per token."""
    rank: Annotated[int, Field(ge=2)]
    """Latents per group."""
    expansion: Annotated[int, Field(ge=1)] = 16
    """Latents per dimension of the activations."""
    steps: Annotated[int, Field(ge=2)]
    """Training steps on all tokens; half of them on half the tokens."""
    batch: Annotated[int, Field(ge=1)] = 4_096
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    nuclear: Annotated[float, Field(ge=0)] = 0.0
    """Coefficient of the groups' mean nuclear norm, for the group SAE."""
    auxiliary: Annotated[int, Field(ge=0)] = 512
    """Number of dead latents that reconstruct the residual of a token."""
    decay: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of final steps during which the learning rate falls to 0."""


class Contrast(_Table):
    """A steering vector: the texts it points toward and away from, one per line."""

    name: str
    toward: str
    """Text file, relative to the suite file."""
    away: str


class Steering(_Table):
    """The site of steering vectors, and the contrasts that define them."""

    site: Site = ""
    """By default after the middle block."""
    contrasts: list[Literal["code", "string", "comment"]] = ["code", "string", "comment"]
    """From the standard library's text; against prose, numbers and statements, respectively."""
    own: list[Contrast] = []


class SuiteFile(_Table):
    """A suite of language models that should compute the same function."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    models: Annotated[list[Models], Field(min_length=1)]
    controls: list[Models] = []
    """Models of another task and the same width, for controls."""
    sites: Sites = []
    """In order of depth; the last is the late site.  Empty: the whole residual stream."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision in which weights are loaded."""
    claims: Claims = []
    """Claims to judge; all if empty."""
    tokens: Tokens = Tokens()
    sae: Autoencoders = Autoencoders()
    dictionaries: Dictionaries | None = None
    steering: Steering = Steering()
    published: Mapping[Claim, str] = {}
    """Printed values, shown with the verdicts."""

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(seed for entry in self.models for seed in entry.all_seeds)


_TABLES: dict[str, type[_Table]] = {
    "": SuiteFile,
    "models": Models,
    "controls": Models,
    "tokens": Tokens,
    "sae": Autoencoders,
    "dictionaries": Dictionaries,
    "steering": Steering,
    "own": Contrast,
}
"""Tables by their names in a file."""
KEY = "[key]"
"""pydantic's mark for an invalid key, as opposed to an invalid value."""


def read_suite_file(path: Path) -> SuiteFile:
    """Read a suite file.

    Raises:
        FileNotFoundError: if there is none.
        SuiteFileError: with every problem of the file and its line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected a suite file but there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SuiteFileError(path, [Problem(line, "", "invalid TOML: not UTF-8")]) from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = int(place[1]) if place else text.rstrip("\n").count("\n") + 1
        message = str(error).replace(place[0] if place else "", "")
        raise SuiteFileError(path, [Problem(line, "", f"invalid TOML: {message}")]) from None
    problems = [
        Problem(line_of(text, location), dotted(location), message)
        for location, message in inconsistencies(data)
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


def _sentence(item: Mapping[str, Any]) -> str:
    """Word a problem found by pydantic in the style of the other messages."""
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        around = [part for part in item["loc"][:-1] if isinstance(part, str)]
        table = _TABLES[around[-1] if around else ""]
        return f"there is no such field; there are {', '.join(table.model_fields)}"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] in ("model_type", "dict_type"):
        return f"expected a table but got {item['input']!r}"
    if item["type"] == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]} but got {item['input']!r}"


def dotted(location: Location) -> str:
    """Format a location in a suite file: `models[2].folder`, counted from 1."""
    text = ""
    for part in location:
        if part != KEY:
            text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
