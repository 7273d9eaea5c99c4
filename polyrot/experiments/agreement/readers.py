"""Causal language models before a verb: states at the last token, the plural margin, edits.

Of arXiv 2602.22600: the margin is logit(are) + logit(were) - logit(is) - logit(was) at the last
token of a prompt, and states are those of the residual stream there, after every block.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from polyrot.errors import NotRun
from polyrot.interventions.blocks import Edit
from polyrot.interventions.edit import edited, recorded
from polyrot.interventions.places import places

PLURAL, SINGULAR = (" are", " were"), (" is", " was")
EMBEDDED = "resid_pre.0"
"""The state before the first block, where no intervention acts."""
BATCH = 64
PASS_BYTES = 2**26
"""Limit on the keys and values of prompts that run together, each once per edit."""

Chosen = Bool[Tensor, " prompt"]
Placed = tuple[int, Edit]
"""A layer, and the edit of the last state there, `[row, d_model]`."""


@dataclass(frozen=True)
class Copulas:
    """Token ids of the verbs."""

    plural: tuple[int, ...]
    singular: tuple[int, ...]


@dataclass(frozen=True)
class Observed:
    """States and gradients at the last token of every prompt, after every block."""

    states: Float[Tensor, "layer prompt d_model"]
    gradients: Float[Tensor, "layer prompt d_model"]
    """Gradient of each prompt's margin with respect to its state."""
    margins: Float[Tensor, " prompt"]
    """Logits of the plural verbs minus those of the singular ones."""


@runtime_checkable
class Reader(Protocol):
    """Something that reads prompts and returns margins."""

    def observe(self) -> Observed:
        """Read every prompt."""

    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        """Read the chosen prompts, in their order, once for each edit of the last state."""


class LanguageReader:
    """A causal language model that reads tokenised prompts.

    Only the last token's state is edited, and earlier tokens do not attend to it: they run once,
    and their keys and values serve every edit.
    """

    def __init__(
        self,
        load: Callable[[], nn.Module],
        tokens: Sequence[Sequence[int]],
        verbs: Copulas,
        *,
        batch: int = BATCH,
        last: str = "",
    ) -> None:
        """Store a model of `transformers` and prompts.

        Args:
            load: returns the model, of a family that `polyrot.interventions.places` knows; called
                on every use, so that unused models are not kept in memory.
            tokens: of each prompt, two or more.
            verbs: tokens whose logits make the margin.
            batch: prompts per batch.
            last: where the last layer's state is read, by default after the last block, where it
                is edited.
        """
        self._load, self._tokens, self._verbs = load, tokens, verbs
        self._batch, self._last = batch, last

    def observe(self) -> Observed:
        model = self._load()
        *others, deepest = places(model).sites[1:]
        read = (*others, self._last or deepest)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        order: list[int] = []
        for rows, ids in self._batches(model, range(len(self._tokens))):
            before = _before(model, ids)
            with (
                torch.enable_grad(),
                edited(model, {EMBEDDED: lambda x: x.detach().requires_grad_()}),
                recorded(model, *read) as kept,
            ):
                margins = self._margins(model, ids, before)
                states = [kept[name] for name in read]
                gradients = torch.autograd.grad(margins.sum(), states)
            found.append((_last(states), _last(gradients), margins.detach().cpu()))
            order += rows
        back = torch.tensor(order).argsort()
        return Observed(
            torch.cat([states for states, _, _ in found], dim=1)[:, back],
            torch.cat([gradients for _, gradients, _ in found], dim=1)[:, back],
            torch.cat([margins for _, _, margins in found])[back],
        )

    @torch.no_grad()
    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        model: Any = self._load()
        sites = places(model).sites[1:]
        wanted = chosen.nonzero()[:, 0].tolist()
        result = torch.empty(len(edits), len(self._tokens))
        for rows, ids in self._batches(model, wanted):
            before = _before(model, ids)
            # Several edits run as one batch, as far as memory allows.
            kept = 2 * len(sites) * ids.numel() * model.config.hidden_size
            together = max(1, PASS_BYTES // (kept * model.dtype.itemsize))
            for start in range(0, len(edits), together):
                some = edits[start : start + together]
                repeated = copy.deepcopy(before)  # a run appends its token to the cache it is given
                repeated.batch_repeat_interleave(len(some))
                with edited(model, _by_site(some, sites)):
                    rerun = ids.repeat_interleave(len(some), dim=0)
                    margins = self._margins(model, rerun, repeated)
                result[start : start + together, rows] = margins.view(-1, len(some)).T.cpu()
        return result[:, wanted]

    def _batches(
        self, model: nn.Module, chosen: Sequence[int]
    ) -> Iterator[tuple[list[int], Int[Tensor, "prompt position"]]]:
        """Yield batches of prompts of equal length, without padding: positions and tokens."""
        device = next(model.parameters()).device
        for length in sorted({len(self._tokens[row]) for row in chosen}):
            rows = [row for row in chosen if len(self._tokens[row]) == length]
            for start in range(0, len(rows), self._batch):
                some = rows[start : start + self._batch]
                ids = torch.tensor([list(self._tokens[row]) for row in some])
                yield some, ids.to(device)

    def _margins(
        self, model: nn.Module, ids: Int[Tensor, "prompt position"], before: Any
    ) -> Float[Tensor, " prompt"]:
        """Run the last token; `before` is modified."""
        output = model(input_ids=ids[:, -1:], past_key_values=before, use_cache=True)
        logits = output.logits[:, -1].float()
        plural, singular = (
            logits[:, list(verbs)].sum(-1) for verbs in (self._verbs.plural, self._verbs.singular)
        )
        margins: Tensor = plural - singular
        return margins


def copulas(tokenizer: Callable[..., Any]) -> Copulas:
    """Find the tokens of the four verbs.

    Raises:
        NotRun: if a tokenizer does not have one of them as a single token.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)

    def token(verb: str) -> int:
        ids = list(tokenizer(verb, add_special_tokens=False)["input_ids"])
        if len(ids) != 1 or ids[0] == unknown:
            raise NotRun(
                f"the tokenizer has no single token for {verb!r} (it gives {ids}), which the "
                "margin needs; give models whose tokenizer has is, are, was and were"
            )
        return int(ids[0])

    return Copulas(tuple(map(token, PLURAL)), tuple(map(token, SINGULAR)))


@torch.no_grad()
def _before(model: nn.Module, ids: Int[Tensor, "prompt position"]) -> Any:
    """Run all tokens but the last; return the keys and values that the last one attends to."""
    return model(input_ids=ids[:, :-1], use_cache=True).past_key_values


def _last(values: Sequence[Tensor]) -> Float[Tensor, "layer prompt d_model"]:
    return torch.stack([layer[:, -1].detach().float().cpu() for layer in values])


def _by_site(edits: Sequence[Placed], sites: Sequence[str]) -> dict[str, Edit]:
    """Edit interleaved rows in turn: each prompt's row 0 by the first edit, and so on."""
    count = len(edits)

    def at(layer: int) -> Edit:
        def edit(x: Tensor) -> Tensor:
            result = x.clone()
            for index, (place, changed) in enumerate(edits):
                if place == layer:
                    result[index::count, -1] = changed(x[index::count, -1])
            return result

        return edit

    return {sites[layer]: at(layer) for layer, _ in edits}
