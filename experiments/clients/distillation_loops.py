"""Loops of distillation as other projects write them, in one unit: fake-score updates per generator update.

    python -m experiments.clients.distillation_loops

In all of them the generator is updated at every k-th step, and first. They differ in what else happens then:

- DMD2 (tianweiy/DMD2, ``dfake_gen_update_ratio``) and Self-Forcing (the same name): the fake score is updated at every
  step, so that k means k fake-score updates per generator update;
- FastGen and rCM (``student_update_freq``): the fake score is updated at all *other* steps, so that k means k - 1.

``in_one_unit(convention, k)`` is the number that a controller's n means. ``distil`` is one loop for all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from adaptive_critic import FixedController, Rounds
from experiments.clients.distillation import Distillation

CONVENTIONS = {"DMD2": True, "Self-Forcing": True, "FastGen": False, "rCM": False}
"""whether the fake score is updated in the generator's steps, too"""


def in_one_unit(convention: str, k: int) -> int:
    """Return fake-score updates per generator update.

    Args:
        convention: one of ``CONVENTIONS``.
        k: the number in that project's settings, at least 1.

    Raises:
        ValueError: if there is no such convention, or ``k`` means no fake-score update at all.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention={convention!r}: expected one of {', '.join(CONVENTIONS)}")
    n = k if CONVENTIONS[convention] else k - 1
    if n < 1:
        raise ValueError(f"k={k}: under the convention of {convention} the fake score would get no update")
    return n


def original(toy: Distillation, convention: str, k: int, steps: int) -> str:
    """Train as the projects do; return the updates in order, "f" for the fake score's and "g" for the generator's."""
    made = ""
    for step in range(steps):
        if step % k == 0:
            toy.generator_update()
            made += "g"
        if step % k != 0 or CONVENTIONS[convention]:
            toy.fake_update(score=False)
            made += "f"
    return made


def distil(toy: Distillation, rounds: Rounds, updates: int) -> str:
    """Train as ``rounds`` asks, the generator first; return the updates in order.

    The mean of D needs one more evaluation of the teacher, so it is taken in the first fake-score update of a round
    only, which is the one that the gap is measured in.
    """
    rounds.generator(g_fake=toy.generator_update())
    made, first = "g", True
    while len(made) < updates:
        if rounds.critic_due:
            loss, d_fake = toy.fake_update(score=first and toy.watched)
            rounds.critic(d_real=None if d_fake is None else 0.0, d_fake=d_fake, d_loss=loss)
            first = False
            made += "f"
        else:
            g_fake = toy.generator_update()
            rounds.generator(g_loss=-g_fake, g_fake=g_fake)
            first = True
            made += "g"
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--k", type=int, default=5, help="the number in the settings")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for convention in CONVENTIONS:
        n = in_one_unit(convention, args.k)
        rounds = Rounds(FixedController(n))
        made = distil(Distillation(0, watched=False), rounds, 24)
        print(f"{convention}, k = {args.k}: n = {n}, {made}")


if __name__ == "__main__":
    main()
