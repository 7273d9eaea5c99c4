"""The tokens of a suite: from text, a data set or a file, and what happens without them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from local_hub import LocalHub, serving
from planted_language import tokenizer_of
from safetensors.numpy import save_file

from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import Tokens
from polyrot.experiments.language.tokens import TokenData, load_tokens
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.tasks import text

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]
FEW = Tokens(sequences=8, length=8)


def writing(seed: int, words: int = 400) -> str:
    chosen = np.random.default_rng(seed).choice(WORDS, words)
    return " ".join(chosen)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer_of([writing(0)]).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
    return hub.load_tokenizer(Checkpoint(str(folder)))


def reason(tokens: Tokens, base: Path, tokenizer: Any = None) -> str:
    with pytest.raises(NotRun) as raised:
        load_tokens(tokens, base, lambda: tokenizer)
    return str(raised.value)


def rows(data: TokenData) -> set[tuple[int, ...]]:
    return {tuple(row) for part in (data.analysis, data.sae) for row in part.tolist()}


def test_text_is_cut_into_sequences_that_no_two_parts_share(tmp_path: Path, tokenizer) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.txt").write_text(writing(seed))
    data = load_tokens(
        Tokens(files=["*.txt"], sequences=20, length=16), tmp_path, lambda: tokenizer
    )
    assert data.analysis.shape == data.sae.shape == (20, 16)
    assert data.analysis.dtype == torch.long
    assert len(rows(data)) == 40
    joined = "".join(f"<|endoftext|>{writing(seed)}" for seed in range(3))
    every = tokenizer(joined)["input_ids"]
    pieces = {tuple(every[i : i + 16]) for i in range(0, len(every) - 15, 16)}
    assert rows(data) <= pieces
    assert tokenizer.eos_token_id in data.analysis.unique().tolist() + data.sae.unique().tolist()


def test_the_same_text_gives_the_same_sequences(tmp_path: Path, tokenizer) -> None:
    (tmp_path / "a.txt").write_text(writing(0))
    first, again = (
        load_tokens(FEW.model_copy(update={"files": ["a.txt"]}), tmp_path, lambda: tokenizer)
        for _ in range(2)
    )
    assert torch.equal(first.analysis, again.analysis)
    assert torch.equal(first.sae, again.sae)


def test_patterns_find_files_alone_in_a_fixed_order(tmp_path: Path, tokenizer) -> None:
    inner = tmp_path / "suite"
    (inner / "folder.txt").mkdir(parents=True)
    (inner / "b.txt").write_text(writing(1))
    (inner / "a.txt").write_text(writing(2))
    (tmp_path / "outside.txt").write_bytes(b"\xff\xfe " + writing(3).encode())
    (inner / "folder.txt" / "deep.md").write_text(writing(4))
    found = {}
    for pattern in ("*", "*.txt", "../outside.txt", "**/*.md", str(tmp_path / "*.txt")):
        tokens = FEW.model_copy(update={"files": [pattern]})
        found[pattern] = rows(load_tokens(tokens, inner, lambda: tokenizer))
    assert found["*"] == found["*.txt"]
    assert found["../outside.txt"] == found[str(tmp_path / "*.txt")]
    assert not found["*"] & found["**/*.md"]


def test_text_that_is_missing_is_said_by_its_pattern(tmp_path: Path, tokenizer) -> None:
    (tmp_path / "a.txt").write_text("too little")
    tokens = FEW.model_copy(update={"files": ["a.txt", "b*.txt"]})
    assert reason(tokens, tmp_path, tokenizer) == f"tokens.files: no file matches {tmp_path}/b*.txt"
    tokens = FEW.model_copy(update={"files": ["**x"]})
    assert reason(tokens, tmp_path, tokenizer).startswith("tokens.files: '**x' is not a pattern: ")


def test_too_little_text_says_how_much_there_is(tmp_path: Path, tokenizer) -> None:
    (tmp_path / "a.txt").write_text(writing(0, words=100))
    tokens = Tokens(files=["a.txt"], sequences=8, length=16)
    found = len(tokenizer("<|endoftext|>" + writing(0, words=100))["input_ids"]) // 16
    assert 0 < found < 16
    assert reason(tokens, tmp_path, tokenizer) == (
        f"the text of tokens gives {found} sequences of 16 tokens but 16 are needed, half of them "
        "for autoencoders; give more text, or lower tokens.sequences or tokens.length"
    )


@pytest.mark.seconds
def test_by_default_the_text_is_of_held_out_modules(tmp_path: Path, tokenizer) -> None:
    data = load_tokens(Tokens(sequences=8, length=32), tmp_path, lambda: tokenizer)
    held, seen = (
        "\n".join(d.text for d in text.standard_library() if d.held_out is which)
        for which in (True, False)
    )
    inside = [piece for row in data.analysis for piece in tokenizer.decode(row).split("<|")[:1]]
    assert all(piece.strip("\ufffd") in held for piece in inside)
    assert not all(piece.strip("\ufffd") in seen for piece in inside)


def saved_ids(path: Path, array: np.ndarray) -> Tokens:
    np.save(path, array)
    return Tokens(file=path.name, sequences=8)


IDS = np.arange(20 * 9).reshape(20, 9)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.dtype(">i4"), np.uint32])
def test_a_file_of_token_ids_is_halved(tmp_path: Path, dtype: Any) -> None:
    tokens = saved_ids(tmp_path / "ids.npy", IDS.astype(dtype))
    data = load_tokens(tokens, tmp_path, lambda: pytest.fail("no tokenizer is needed"))
    assert data.analysis.tolist() == IDS[:8].tolist()
    assert data.sae.tolist() == IDS[8:16].tolist()
    assert data.analysis.dtype == torch.long


def test_a_file_may_name_its_halves(tmp_path: Path) -> None:
    save_file({"analysis": IDS[:9], "sae": IDS[9:].astype(np.int32)}, tmp_path / "ids.safetensors")
    data = load_tokens(Tokens(file="ids.safetensors"), tmp_path, lambda: None)
    assert (len(data.analysis), len(data.sae)) == (9, 11)
    assert data.sae.dtype == torch.long
    save_file({"ids": IDS}, tmp_path / "ids.safetensors")
    data = load_tokens(Tokens(file="ids.safetensors", sequences=10), tmp_path, lambda: None)
    assert len(data.sae) == 10


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (IDS.astype(np.float32), "float32 [20, 9]"),
        (IDS[0], "int64 [9]"),
        (IDS[None], "int64 [1, 20, 9]"),
        (IDS - 1, "int64 [20, 9]"),
        (IDS[:, :7], "int64 [20, 7]"),
        (IDS[:7], "int64 [7, 9]"),
        (IDS > 0, "bool [20, 9]"),
        (IDS[:0], "int64 [0, 9]"),
    ],
)
def test_a_file_that_holds_no_token_ids_is_refused(
    tmp_path: Path, array: np.ndarray, found: str
) -> None:
    assert reason(saved_ids(tmp_path / "ids.npy", array), tmp_path) == (
        "tokens.file: expected token ids [sequence, position] in "
        f"{tmp_path / 'ids.npy'}, non-negative integers of shape [8, 8] or larger, but tokens "
        f"is {found}"
    )


def test_a_file_with_too_few_sequences_says_how_many(tmp_path: Path) -> None:
    tokens = saved_ids(tmp_path / "ids.npy", IDS[:15])
    assert reason(tokens, tmp_path) == (
        f"tokens.file: expected 16 sequences in {tmp_path / 'ids.npy'}, half of them for "
        "autoencoders, but got 15; lower tokens.sequences"
    )


def test_a_file_of_other_arrays_names_them(tmp_path: Path) -> None:
    tokens = Tokens(file="ids.safetensors")
    for arrays, found in (({"a": IDS, "b": IDS}, "a, b"), ({}, "none")):
        save_file(arrays, tmp_path / "ids.safetensors")
        assert reason(tokens, tmp_path).endswith(f"or analysis and sae, but got {found}")


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_in_a_file_of_tokens_is_refused_and_does_not_run(tmp_path: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Payload(tmp_path / "owned")
    np.save(tmp_path / "ids.npy", array, allow_pickle=True)
    assert "cannot be read: " in reason(Tokens(file="ids.npy"), tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["ids.npy", "ids.safetensors", "ids.txt"])
@pytest.mark.parametrize("content", [b"", b"rotten", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_of_tokens_is_not_run(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    expected = f"tokens.file: {tmp_path / name} cannot be read: "
    assert reason(Tokens(file=name), tmp_path).startswith(expected)


def test_an_archive_of_arrays_is_not_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "ids.npz", ids=IDS)
    assert "cannot be read: the magic string is not correct" in reason(
        Tokens(file="ids.npz"), tmp_path
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("no.npy", "."):
        expected = f"tokens.file: there is no file {tmp_path / name}"
        assert reason(Tokens(file=name), tmp_path) == expected


SCRIPT = """
import sys
from pathlib import Path
from polyrot.models import hub
from polyrot.experiments.language.suite_file import Tokens
from polyrot.experiments.language.tokens import load_tokens
tokenizer = hub.load_tokenizer(hub.Checkpoint(sys.argv[1]))
for field in sys.argv[3:]:
    tokens = Tokens(dataset=sys.argv[2], field=field, sequences=8, length=8)
    try:
        data = load_tokens(tokens, Path(), lambda: tokenizer)
        print(int(data.analysis.sum()), int(data.sae.sum()))
    except hub.NotRun as error:
        print(error)
"""


def from_data_set(
    folder: Path, data_set: str, *fields: str, **environment: str
) -> tuple[list[str], str]:
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), data_set, *fields],
        env={**keep, "HF_HOME": str(folder / "home"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalHub]:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [{"text": writing(seed, 60), "count": seed} for seed in range(4)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with serving(LocalHub(folders={"org/data": folder})) as running:
        yield running


@pytest.mark.process
def test_a_data_set_is_read_from_the_hub_once_and_then_offline(
    server: LocalHub, tmp_path: Path, tokenizer
) -> None:
    tokenizer_of([writing(0)]).save(str(tmp_path / "tokenizer.json"))
    first, _ = from_data_set(tmp_path, "org/data", "text", "word", "count", HF_ENDPOINT=server.url)
    assert first[1:] == [
        f"tokens.field: org/data has no text as {field!r}; it has text, count"
        for field in ("word", "count")
    ]
    assert server.asked
    offline, said = from_data_set(tmp_path, "org/data", "text", "word", HF_HUB_OFFLINE="1")
    assert offline[0] == first[0]
    assert offline[1] == (
        "tokens.dataset: org/data cannot be read from the hub (ConnectionError); run once with a "
        "network, or give text as tokens.files"
    )
    assert not said


def test_a_data_set_without_its_package_is_not_run(
    tmp_path: Path, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `find_spec` answers where the package is not installed.
    monkeypatch.setattr("polyrot.experiments.language.tokens.find_spec", lambda name: None)
    expected = 'tokens.dataset needs a package: pip install "polyrot[hub]"'
    assert reason(Tokens(dataset="org/other"), tmp_path, tokenizer) == expected
