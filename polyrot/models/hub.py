"""Causal language models from the hub or from a folder: found, checked and loaded.

What is not available raises `NotRun`, whose message says what is missing and how to get it.
`HF_HUB_OFFLINE` and `HF_HOME` are honoured.  Pickled weights load with `weights_only=True`, and
code shipped with a model is never run.
"""

import logging
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import nn

from polyrot.errors import NotRun
from polyrot.files import sha256

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SETTINGS = ["*.json", "*.txt", "*.model"]
SAFE, PICKLED = ["*.safetensors"], ["pytorch_model*.bin"]
CONFIG_FILE = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
OVERHEAD = 1.1
"""Memory needed to load a model, relative to its weights."""


@dataclass(frozen=True)
class Checkpoint:
    """Location of a model: a folder, or a repository on the hub with a revision."""

    place: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.place} at {self.revision}" if self.revision else self.place


def fetch(checkpoint: Checkpoint, *patterns: str, local: bool = False) -> Path:
    """Find the folder of a checkpoint; from the hub, download what matches the patterns.

    With `local`, use only what was downloaded earlier, without asking the hub.

    Raises:
        NotRun: where it is not available.
    """
    if not checkpoint.revision:
        folder = Path(checkpoint.place)
        if not folder.is_dir():
            raise NotRun(f"there is no folder {folder}; give one written by save_pretrained")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # From httpx or httpx2, depending on the version of the hub's client.
    http_error = next(
        kind
        for kind in HfHubHTTPError.__mro__
        if issubclass(kind, Exception) and kind.__name__ == "HTTPError"
    )
    try:
        with quiet():
            path = snapshot_download(
                checkpoint.place,
                revision=checkpoint.revision,
                allow_patterns=list(patterns),
                etag_timeout=10,
                local_files_only=local,
            )
    except GatedRepoError:
        raise NotRun(
            f"{checkpoint} is gated: accept its terms on the hub, then `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise NotRun(f"{checkpoint.place} has no revision {checkpoint.revision!r}") from None
    except RepositoryNotFoundError:
        raise NotRun(
            f"the hub has no {checkpoint.place}, or it is private: check its name, or "
            "`hf auth login`"
        ) from None
    except HFValidationError as error:
        raise NotRun(f"{checkpoint.place!r} is not a valid id on the hub: {error}") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, http_error) as error:
        if isinstance(error, HfHubHTTPError):
            raise NotRun(f"{checkpoint} cannot be downloaded: {_first(error)}") from None
        raise NotRun(
            f"{checkpoint} is not in the hub's cache and the hub cannot be reached; run once "
            "with a network, or copy the cache and point HF_HOME at it"
        ) from None
    except (OSError, RuntimeError) as error:  # refused in another way, or the disk is full
        raise NotRun(f"{checkpoint} cannot be downloaded: {_first(error)}") from None
    return Path(path)


@lru_cache(maxsize=64)
def architecture(checkpoint: Checkpoint) -> "PreTrainedConfig":
    """Read the configuration of a checkpoint.

    Raises:
        NotRun: where it is not available or `transformers` does not know it.
    """
    from transformers import AutoConfig

    folder = fetch(checkpoint, *SETTINGS)
    if not (folder / CONFIG_FILE).is_file():
        raise NotRun(f"{checkpoint} has no {CONFIG_FILE}; give a folder written by save_pretrained")
    try:
        with quiet():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # a damaged file can raise anything
        raise NotRun(f"{folder / CONFIG_FILE} cannot be read: {_first(error)}") from None
    return config


@lru_cache(maxsize=64)
def skeleton(checkpoint: Checkpoint) -> nn.Module:
    """Build a checkpoint's model without memory for its weights.

    Raises:
        NotRun: where its architecture is not a causal language model.
    """
    from transformers import AutoModelForCausalLM

    config = architecture(checkpoint)
    try:
        with torch.device("meta"), quiet():
            model: nn.Module = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise NotRun(
            f"{checkpoint} is a {config.model_type} model, not a causal language model that "
            f"transformers can build: {_first(error)}"
        ) from None
    return model


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: str = "cpu") -> nn.Module:
    """Load a checkpoint's weights, if memory suffices.

    Raises:
        NotRun: where they are not available, are damaged or incomplete, would run code, or
            need more memory than is free.
    """
    from transformers import AutoModelForCausalLM

    check_memory(checkpoint, dtype, device)
    folder = _with_weights(checkpoint)
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                weights_only=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name
            )
    except pickle.UnpicklingError:
        raise NotRun(
            f"the weights in {folder} are a pickle that holds more than tensors; it could run "
            "code and was not loaded: convert it to safetensors if you trust it"
        ) from None
    except Exception as error:
        raise NotRun(f"the weights of {checkpoint} cannot be read: {_first(error)}") from None
    model, found = loaded
    if other := sorted(found["mismatched_keys"]):
        name, there, expected = other[0]
        raise NotRun(
            f"the weights of {checkpoint} do not match its {CONFIG_FILE}: {name} is "
            f"{list(there)} and should be {list(expected)}"
        )
    if missing := sorted(found["missing_keys"]):
        raise NotRun(
            f"the weights of {checkpoint} lack {len(missing)} tensors, {missing[0]} first; save "
            "the whole model with save_pretrained"
        )
    if more := sorted(_of_further_blocks(model, found["unexpected_keys"])):
        raise NotRun(
            f"the weights of {checkpoint} have more blocks than its {CONFIG_FILE} says "
            f"({more[0]}); correct the number of layers there"
        )
    return _frozen(model, device)


def untrained(
    checkpoint: Checkpoint, seed: int, dtype: torch.dtype, device: str = "cpu"
) -> nn.Module:
    """Draw a model of a checkpoint's architecture with untrained weights.

    Raises:
        NotRun: as for `load`.
    """
    from transformers import AutoModelForCausalLM

    check_memory(checkpoint, dtype, device)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        config = architecture(checkpoint)
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    return _frozen(model.to(dtype), device)


def check_memory(checkpoint: Checkpoint, dtype: torch.dtype, device: str) -> None:
    """Raise NotRun where a model's weights need more memory than is free."""
    model = skeleton(checkpoint)
    parameters = sum(p.numel() for p in model.parameters())
    needed = OVERHEAD * parameters * dtype.itemsize
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise NotRun(
            f"{checkpoint} has {parameters / 1e9:.1f} billion parameters, which need "
            f"{needed / 2**30:.1f} GiB as {str(dtype).removeprefix('torch.')}, and "
            f"{free / 2**30:.1f} GiB are free; set dtype to bfloat16 or take a larger machine"
        )


def load_tokenizer(place: Checkpoint) -> Any:
    """Load the tokenizer of a checkpoint.

    Raises:
        NotRun: where it has none.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = fetch(place, *SETTINGS)
    remedy = (
        "save one there, name a folder as tokens.tokenizer, or give a file of token ids as "
        "tokens.file"
    )
    # Without any of these transformers silently makes an empty tokenizer.
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise NotRun(f"{place} has no tokenizer; {remedy}")
    try:
        with quiet():
            if not (folder / CONFIG_FILE).is_file() and (folder / "tokenizer.json").is_file():
                return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
            return AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise NotRun(
            f"the tokenizer of {place} cannot be read: {_first(error)}; {remedy}"
        ) from None


@lru_cache(maxsize=64)
def identity(checkpoint: Checkpoint) -> str:
    """Identify a checkpoint's weights by their commit on the hub, or by their hash.

    Raises:
        NotRun: where it is not available.
    """
    if checkpoint.revision:
        try:
            folder = fetch(checkpoint, CONFIG_FILE, local=True)
        except NotRun:
            folder = fetch(checkpoint, CONFIG_FILE)
        # A branch or a tag may move; a snapshot's folder is named after its commit.
        return f"{checkpoint.place} at {folder.name}"
    folder = fetch(checkpoint)
    kinds = (*SETTINGS, *SAFE, *PICKLED)
    files = sorted({file for kind in kinds for file in folder.glob(kind)})
    return " ".join(sha256(file) for file in files)


def check_weights(checkpoint: Checkpoint) -> None:
    """Raise NotRun where a folder has no weights, without asking the hub."""
    if not checkpoint.revision:
        _with_weights(checkpoint)


def _of_further_blocks(model: Any, names: Iterable[str]) -> list[str]:
    """Select, of names that a model does not know, those of blocks beyond its last.

    Older files hold buffers of every block that no model reads; those are not selected.
    """

    def in_first_block(name: str) -> str:
        name = name.removeprefix(f"{model.base_model_prefix}.")  # some files omit it
        return re.sub(r"\.\d+\.", ".0.", name)

    known = {in_first_block(name) for name in model.state_dict()}
    return [name for name in names if in_first_block(name) in known]


def _with_weights(checkpoint: Checkpoint) -> Path:
    for patterns in (SAFE, PICKLED):
        folder = fetch(checkpoint, *SETTINGS, *patterns)
        if any(file for pattern in patterns for file in folder.glob(pattern)):
            return folder
    raise NotRun(f"{checkpoint} has no weights: neither model.safetensors nor pytorch_model.bin")


def _frozen(model: nn.Module, device: str) -> nn.Module:
    model.eval().requires_grad_(False)
    return model.to(device)


def _first(error: Exception) -> str:
    """Return the first line of an error that may have many."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and advice of the loaders off the terminal.

    Their warnings too, which pytest may turn into errors: they concern the loaders' internals.
    """
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    levels = [(of, of.get_verbosity()) for of in (hub_logging, transformers_logging)]
    for of, _ in levels:
        of.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for of, level in levels:
            of.set_verbosity(level)
