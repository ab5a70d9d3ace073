"""Drive CTGAN, the unmodified package, by a controller.

    python -m experiments.clients.tabular

CTGAN's ``fit`` reads ``_discriminator_steps`` for each generator update: AttributeActuator gives it the number. A
forward hook on the package's own Discriminator reports the updates, with their scores, to Rounds. Nothing of its loop
is written again.

The packages ctgan and rdt are under the Business Source License 1.1 (BUSL-1.1), which is no open-source licence: read
it before you install the extra ``clients`` (``pip install 'adaptive-critic[clients]'``).

What the hook sees in a round of n critic updates is 3 n + 1 calls: generated rows, real rows and interpolated rows (for
the gradient penalty) n times, then the generator's rows. A score belongs to a pack of ten rows (``pac``), so a batch of
500 rows has 50 of them; and the critic has dropout of 0.5 that is never switched off, so the same rows score
differently at each call. Both are noise in the gap.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from ctgan.synthesizers.ctgan import CTGAN, Discriminator
from torch import Tensor, nn

from adaptive_critic import AttributeActuator, Rounds, WassersteinGapController
from adaptive_critic.controller import Controller

# All but "affairs", which is continuous and skewed: each has four to seven values.
CATEGORIES = ["rate_marriage", "age", "yrs_married", "children", "religious", "educ", "occupation", "occupation_husb"]


@contextmanager
def driven(model: Any, controller: Controller, after_round: Callable[[int], None] | None = None) -> Iterator[Rounds]:
    """Let the controller choose the number of critic updates for whatever ``model.fit`` does in this context.

    The hook listens to all of the package's discriminators while the context lasts: fit one model at a time.

    Args:
        model: a CTGAN.
        controller: not attached to an engine.
        after_round: called after each generator update with the number of critic updates before it. An exception
            that it raises ends the training; the model can be sampled afterwards.

    Raises:
        ValueError: if the calls of the critic were not those of whole rounds.
    """
    rounds = Rounds(controller)
    scores: list[Tensor] = []  # of the critic update that is being made
    over: list[int] = []  # critic updates of a round whose generator has been scored, and not yet updated

    def end_round() -> None:
        while over:
            n = over.pop()
            if after_round is not None:
                after_round(n)

    def on_forward(module: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(module, Discriminator):
            return
        end_round()
        score = output.detach().mean()
        if rounds.critic_due:
            scores.append(score)
            if len(scores) == 3:
                d_fake, d_real, _ = scores
                scores.clear()
                rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_fake - d_real)
        else:
            over.append(rounds.steps)
            rounds.generator(g_loss=-score, g_fake=score)

    with AttributeActuator(model, "_discriminator_steps", rounds):
        hook = nn.modules.module.register_module_forward_hook(on_forward)
        try:
            yield rounds
        finally:
            hook.remove()
    end_round()
    if scores or rounds.critic_updates != controller.critic_updates:
        raise ValueError(
            f"{len(scores)} calls of the critic are left over after {rounds.critic_updates} critic updates and "
            f"{rounds.generator_updates} generator updates: expected 3 calls for each critic update and 1 for the "
            "generator's; this version of ctgan trains in another way"
        )


def fair() -> Any:
    """Return the table ``fair`` of statsmodels as a DataFrame (6366, 9): a survey, its categories as text."""
    import statsmodels.api as statsmodels

    return statsmodels.datasets.fair.load_pandas().data.astype(dict.fromkeys(CATEGORIES, str))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="passes over the table, CTGAN's own argument")
    parser.add_argument("--rows", type=int, default=6366, help="rows of the table to train on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = CTGAN(epochs=args.epochs, enable_gpu=False)
    model.set_random_state(args.seed)
    controller = WassersteinGapController()
    steps: list[int] = []
    with driven(model, controller, steps.append):
        model.fit(fair().head(args.rows), CATEGORIES)
    print(model.sample(5).to_string(index=False))
    updates = {"generator_updates": controller.generator_updates, "critic_updates": controller.critic_updates}
    print(json.dumps({**updates, "n_first": steps[:10], "n_last": steps[-10:]}))


if __name__ == "__main__":
    main()
