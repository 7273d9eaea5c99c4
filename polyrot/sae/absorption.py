"""Absorption and splitting of features: how a dictionary writes an answer that a probe finds.

A probe on the raw activations gives the direction of an answer, for example "the word begins with
a".  A dictionary should have one unit for it.  It splits the feature if several units are needed,
and absorbs it where these main units write too little in that direction and a few other units,
aligned with it, write the rest (Chanin et al. 2024, arXiv 2409.14507; scored as in SAEBench,
Karvonen et al. 2025, arXiv 2503.09532).

A unit is a latent, or a group of latents that are active together.  A group is read by its norm,
and writes a vector that differs between tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.sae.logistic import f1, sparse_probes
from polyrot.sae.model import SAE

LARGEST_K, F1_GAIN = 10, 0.03
"""Most units that a probe may read, and the gain in F1 that each further unit must exceed."""
ALIGNED, ALIGNED_FULL = 0.1, 0.025
"""Least cosine between absorbing units and the probe: for the fraction, for full absorption."""
LEAST_SHARE = 0.4
"""Least share of the token's projection on the probe that absorbing units write together."""
ABSORBERS = 3
"""Most units that absorb together."""
SILENT = 1e-8


@dataclass(frozen=True, eq=False)
class Units:
    """Codes and decoder of a dictionary's units on tokens.

    Args:
        x: `[token, d_model]`, the activations that the units should write.
        reading: `[token, unit]`, what a probe reads of each unit, best in its float64.
        codes: `[token, unit, column]`, the latents of each unit.
        decoder: `[unit, column, d_model]`.
        released: score two edge cases as the released code of arXiv 2606.06333 does?  A token
            whose projection on the answer is negative has nothing to absorb, even if the main units
            write less still; and a main unit with a negative code is silent.
    """

    x: Float[Tensor, "token d_model"]
    reading: Float[Tensor, "token unit"]
    codes: Float[Tensor, "token unit column"]
    decoder: Float[Tensor, "unit column d_model"]
    released: bool = False

    @classmethod
    def columns(cls, sae: SAE, x: Float[Tensor, "token d_model"]) -> "Units":
        """Take every latent as a unit, as SAEBench and the code of arXiv 2606.06333 do.

        They should write whole tokens, the decoder's bias included.  The edge cases are scored as
        in that code.
        """
        codes = sae.encode(x)
        columns = codes[:, :, None]
        return cls(x, codes.double(), columns, sae.W_dec[:, None, :], released=True)

    @classmethod
    def groups(cls, sae: SAE, x: Float[Tensor, "token d_model"]) -> "Units":
        """Take groups as units, read by their norm, and latents where there are no groups.

        They should write tokens less the decoder's bias.
        """
        rank = sae.activation.rank
        codes = sae.encode(x).unflatten(1, (-1, rank))
        reading = codes[:, :, 0] if rank == 1 else codes.norm(dim=2)
        return cls(x - sae.b_dec, reading.double(), codes, sae.W_dec.unflatten(0, (-1, rank)))

    def of_tokens(self, chosen: Bool[Tensor, " token"]) -> "Units":
        """Keep some tokens."""
        kept = {name: getattr(self, name)[chosen] for name in ("x", "reading", "codes")}
        return replace(self, **kept)

    def along(
        self, direction: Float[Tensor, " d_model"]
    ) -> tuple[Float[Tensor, " token"], Float[Tensor, "token unit"], Float[Tensor, "token unit"]]:
        """Project tokens, and the output of each unit, on a direction; float64.

        Returns:
            The projection of tokens, that of each unit's output, and each unit's cosine with the
            direction: for one latent that of its decoder row, for a group that of its output on
            the token.
        """
        unit = direction.double() / direction.double().norm()
        decoder, codes = self.decoder.double(), self.codes.double()
        written = torch.einsum("tuc,uc->tu", codes, decoder @ unit)
        if decoder.shape[1] == 1:
            cosine = ((decoder @ unit) / decoder.norm(dim=2).clamp(min=1e-300))[:, 0]
            return self.x.double() @ unit, written, cosine.expand_as(written)
        gram = decoder @ decoder.mT
        norm = torch.einsum("tuc,ucd,tud->tu", codes, gram, codes).clamp(min=0).sqrt()
        return self.x.double() @ unit, written, written / norm.clamp(min=1e-300)


def main_units(
    fit: Units, fit_yes: Bool[Tensor, " fit"], scored: Units, yes: Bool[Tensor, " token"]
) -> tuple[list[int], float]:
    """Find the units that an answer is split into, and the F1 of the probe that reads them.

    Probes of 1, 2, ... units are fitted on some tokens and scored on others, as long as each
    further unit adds more than `F1_GAIN` to the F1.  This is SAEBench's rule, except that SAEBench
    ranks units by the weights of a penalised probe; see `sparse_probes`.

    >>> codes = torch.eye(3).repeat(8, 1)  # the answer is one of two units
    >>> units = Units(codes, codes, codes[:, :, None], torch.eye(3)[:, None])
    >>> yes = codes[:, 2] == 0
    >>> main_units(units, yes, units, yes)
    ([0, 1], 1.0)
    """
    best, kept = 0.0, list[int]()
    for chosen, probe in sparse_probes(fit.reading, fit_yes, LARGEST_K):
        score = f1(probe(scored.reading[:, chosen]), yes)
        if kept and score <= best + F1_GAIN:
            break
        best, kept = score, chosen
    return kept, best


def absorption_fraction(
    units: Units, direction: Float[Tensor, " d_model"], main: Sequence[int]
) -> Float[Tensor, " token"]:
    """Compute the share of an answer that absorbing units write in place of main ones, by token.

    The share `a / (a + sum_M)` of the projection on the probe's direction, with
    `a = min(sum_A, total - sum_M)`: M are the main units, and A the three aligned units outside
    M that write most.  0 where M writes all of the token's projection, or A less than
    `LEAST_SHARE` of it; 1 where M writes nothing.  The definition of SAEBench.  With `released`
    units it is 0 also where the token's projection is negative.

    Args:
        units: on the tokens where the probe is right that the answer is yes.
        direction: direction of the probe, `[d_model]`.
        main: indices of the main units.

    Returns:
        `[token]`, in [0, 1].
    """
    total, written, cosine = units.along(direction)
    by_main = written[:, list(main)].sum(1)
    may = (cosine >= ALIGNED) & (written > 0)
    may[:, list(main)] = False
    others = torch.where(may, written, 0.0)
    by_others = others.topk(min(ABSORBERS, others.shape[1]), dim=1).values.sum(1)
    taken = torch.minimum(by_others, total - by_main)
    share = torch.where(by_main <= 0, 1.0, taken / (taken + by_main)).clamp(0, 1)
    none = (by_main >= total) | (by_others < LEAST_SHARE * total)
    if units.released:
        none |= total < 0
    return torch.where(none, 0.0, share)


def fully_absorbed(
    units: Units, direction: Float[Tensor, " d_model"], main: Sequence[int]
) -> Bool[Tensor, " token"]:
    """Find the tokens on which the main units are silent and another, aligned unit writes.

    The unit that writes most must be aligned, and write `LEAST_SHARE` of the token's projection.
    Arguments are those of `absorption_fraction`.
    """
    total, written, cosine = units.along(direction)
    reading = units.reading[:, list(main)]
    silent = ((reading if units.released else reading.abs()) < SILENT).all(1)
    most, which = written.max(1)
    aligned = cosine.gather(1, which[:, None])[:, 0] >= ALIGNED_FULL
    return silent & aligned & (total > 0) & (most >= LEAST_SHARE * total)


@dataclass(frozen=True)
class Absorption:
    """Absorption and splitting of one answer."""

    fraction: float
    """Mean of `absorption_fraction` over the tokens where the probe is right."""
    full: float
    """Share of those tokens that are `fully_absorbed`."""
    splits: int
    """Number of main units."""
    f1: float
    """F1 of the probe that reads them."""


def absorption(
    fit: Units,
    fit_yes: Bool[Tensor, " fit"],
    scored: Units,
    yes: Bool[Tensor, " token"],
    right: Bool[Tensor, " token"],
    direction: Float[Tensor, " d_model"],
) -> Absorption:
    """Measure absorption and splitting of one answer.

    Args:
        fit, fit_yes: units and answers on tokens that k-sparse probes are fitted to.
        scored, yes: the same on other tokens.
        right: of these, where a probe on raw activations is right that the answer is yes.
        direction: direction of that probe, `[d_model]`.

    Raises:
        ValueError: where it is right on no token.
    """
    if not bool(right.any()):
        raise ValueError("Expected a probe that finds some of the answers but it finds none")
    main, score = main_units(fit, fit_yes, scored, yes)
    known = scored.of_tokens(right)
    return Absorption(
        float(absorption_fraction(known, direction, main).mean()),
        float(fully_absorbed(known, direction, main).double().mean()),
        len(main),
        score,
    )
