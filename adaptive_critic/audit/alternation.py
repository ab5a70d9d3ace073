"""AlternationAudit: watches a training loop for some iterations and names the first fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptive_critic.audit.network_state import NetworkState, copies, fingerprint, tensors_in, weights
from adaptive_critic.checks import integer
from adaptive_critic.controller import Controller
from adaptive_critic.rounds import Rounds

_CHECKS = ("updates", "weights", "schedulers", "batches", "gap")
_OPTIMIZERS = {"critic": "optimizer_d", "generator": "optimizer_g"}
_GENERATED_KEPT = 1000  # batches that the generator has made, so that they do not count as real ones


class AlternationError(RuntimeError):
    """A training loop does not alternate correctly. The message says what it did, and what would be right."""


class AlternationAudit:
    """Watches a loop's critic and generator updates, and raises at the first fault.

    Run it for a few iterations, within one pass over the data, beside any loop. It hooks the optimizers' steps and the
    networks' forward passes, so that the error's traceback shows the line of the loop. What it checks:

    - *updates*: the critic's optimizer steps as often before each generator update as it should, and each step has a
      forward pass of the critic since the previous step;
    - *weights*: a step moves its own network's weights, and no weights of the other network;
    - *schedulers*: no learning-rate scheduler ticks twice without a step of its optimizer in between;
    - *batches*: no critic update gets a batch of another critic update of this round or the round before. Batches of
      the generator may come again, as from an image pool;
    - *gap*: the critic is the same, and in the same mode, when it scores the generator's batch before the generator's
      step and when it first scores afterwards, as it is not if weights are clipped before the critic update.

    It copies the weights at each step and reads every batch, so it is too slow for training. A batch that is used again
    after a new augmentation is another batch to it.

    Args:
        generator: the network.
        critic: the network, or several.
        optimizer_g: steps once for each generator update.
        optimizer_d: steps once for each critic update.
        steps: critic updates that each generator update should have: a controller, a :class:`Rounds`, an int of at
            least 0, or None if it is not to be checked.
        schedulers: learning-rate schedulers of the two optimizers.
        ignore: names of checks that are left out. Lazy penalties as steps of their own need ``("updates", "batches")``,
            a gradient scaler, which skips its first steps, ``("updates",)``.

    Example:
        >>> import torch
        >>> networks = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
        >>> optimizers = [torch.optim.SGD(network.parameters(), 0.1) for network in networks]
        >>> batch = torch.randn(8, 2)
        >>> def critic_update():
        ...     optimizers[1].zero_grad()
        ...     (networks[1](networks[0](torch.randn(8, 2)).detach()) - networks[1](batch)).mean().backward()
        ...     optimizers[1].step()
        >>> with AlternationAudit(*networks, *optimizers):  # doctest: +ELLIPSIS
        ...     for _ in range(5):  # one batch for five critic updates
        ...         critic_update()
        Traceback (most recent call last):
            ...
        adaptive_critic.audit.alternation.AlternationError: critic update 2 was shown the batch of critic update 1 ...
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module | Sequence[nn.Module],
        optimizer_g: Optimizer,
        optimizer_d: Optimizer,
        *,
        steps: Controller | Rounds | int | None = None,
        schedulers: Iterable[Any] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        critics = tuple(critic) if isinstance(critic, (tuple, list, nn.ModuleList)) else (critic,)
        for name, found in (("generator", generator), *(("critic", module) for module in critics)):
            if not isinstance(found, nn.Module):
                raise TypeError(f"{name}={found!r}: expected a torch.nn.Module, got {type(found).__name__}")
        for name, item in (("optimizer_g", optimizer_g), ("optimizer_d", optimizer_d)):
            if not isinstance(item, Optimizer):
                raise TypeError(f"{name}={item!r}: expected a torch.optim.Optimizer, got {type(item).__name__}")
        self._networks: dict[str, Sequence[nn.Module]] = {"critic": critics, "generator": (generator,)}
        self._optimizers = {"critic": optimizer_d, "generator": optimizer_g}
        self._steps = _checked_steps(steps)
        self._schedulers = tuple(schedulers)
        for scheduler in self._schedulers:
            if not isinstance(getattr(scheduler, "optimizer", None), Optimizer):
                raise TypeError(f"schedulers: {scheduler!r}: expected a scheduler with its .optimizer")
            if not any(scheduler.optimizer is optimizer for optimizer in self._optimizers.values()):
                raise ValueError(f"schedulers: {type(scheduler).__name__} is of neither optimizer_g nor optimizer_d")
        if isinstance(ignore, str):
            raise TypeError(f"ignore={ignore!r}: expected names in a tuple, such as ({ignore!r},)")
        ignored = set(ignore)
        if not ignored <= set(_CHECKS):
            raise ValueError(f"ignore={sorted(ignored)!r}: expected some of {', '.join(_CHECKS)}")
        self._checks = set(_CHECKS) - ignored
        self._undo: list[Callable[[], None]] = []
        self.updates = {"critic": 0, "generator": 0}
        """updates seen"""
        self._made = 0  # critic updates of the current round
        self._asked: int | None = None  # for the current round, read at its first step
        self._calls = 0  # forward passes of the critic since the last step
        self._turn: set[bytes] = set()  # batches of those
        self._shown: deque[tuple[int, int, set[bytes]]] = deque()  # round, critic update, its batches
        self._generated: deque[bytes] = deque(maxlen=_GENERATED_KEPT)
        self._before: dict[str, list[Tensor]] = {}  # weights before the running step
        self._scored: NetworkState | None = None  # the critic at its latest forward pass
        self._compared: NetworkState | None = None  # as it scored the generator's batch, until it scores again

    def __enter__(self) -> AlternationAudit:
        for name, optimizer in self._optimizers.items():
            self._undo.append(optimizer.register_step_pre_hook(partial(self._on_step_begins, name)).remove)
            self._undo.append(optimizer.register_step_post_hook(partial(self._on_step_ends, name)).remove)
        for module in self._networks["critic"]:
            self._undo.append(module.register_forward_pre_hook(self._on_critic, with_kwargs=True).remove)
        for module in self._networks["generator"]:
            self._undo.append(module.register_forward_hook(self._on_generator).remove)
        if "schedulers" in self._checks:
            for scheduler in self._schedulers:
                self._watch(scheduler)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Remove the hooks; raise an AlternationError if a network got no update and nothing else was raised."""
        while self._undo:
            self._undo.pop()()
        for name, updates in self.updates.items():
            if kind is None and updates == 0:
                raise AlternationError(
                    f"{_OPTIMIZERS[name]} never stepped while the audit watched; it has seen {self._seen()}. Let it "
                    "run for some rounds, with the optimizers that the loop steps"
                )

    def _seen(self) -> str:
        return f"{self.updates['critic']} critic updates and {self.updates['generator']} generator updates"

    # --- hooks ----------------------------------------------------------------------------------------------------

    def _on_generator(self, module: nn.Module, args: Any, output: Any) -> None:
        if "batches" in self._checks:
            self._generated.extend(fingerprint([tensor]) for tensor in tensors_in(output))

    def _on_critic(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._calls += 1
        if "gap" in self._checks:
            self._scored = NetworkState.now(self._networks["critic"])
            if self._compared is not None:
                change = self._compared.change(self._scored)
                self._compared = None
                if change:
                    raise AlternationError(
                        f"between the critic's score of generator update {self.updates['generator']}'s batch and its "
                        f"next score {change}, so that the two don't compare. Change the critic only in its own "
                        "update, and clip weights right after optimizer_d.step()"
                    )
        if "batches" in self._checks:
            inputs = tensors_in((args, kwargs))
            if inputs and inputs[0].numel() > 0 and fingerprint(inputs[:1]) not in self._generated:
                self._turn.add(fingerprint(inputs))

    def _on_step_begins(self, name: str, *_: Any) -> None:
        if self._asked is None:
            self._asked = self._steps()
        if "updates" in self._checks:
            self._check_number(name)
        if "weights" in self._checks:
            self._before = {network: copies(modules) for network, modules in self._networks.items()}

    def _on_step_ends(self, name: str, *_: Any) -> None:
        self.updates[name] += 1
        if "weights" in self._checks:
            self._check_weights(name)
        if name == "critic":
            self._made += 1
            self._check_batches()
        else:
            if "gap" in self._checks and self._calls == 0 and self._made > 0:
                raise AlternationError(
                    f"generator update {self.updates['generator']} came right after optimizer_d.step(): its loss has "
                    "the scores of the critic before that step. Score the generator's batch after the critic's update"
                )
            self._compared = self._scored
            self._made, self._asked = 0, None
        self._calls, self._turn = 0, set()

    def _watch(self, scheduler: Any) -> None:
        """Count the ticks of a scheduler between the steps of its optimizer."""
        name = next(name for name, optimizer in self._optimizers.items() if optimizer is scheduler.optimizer)
        step, last = scheduler.step, -1

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            if self.updates[name] == last:
                raise AlternationError(
                    f"{type(scheduler).__name__} of {_OPTIMIZERS[name]} ticked twice after {name} update {last}: call "
                    "its step() only where its optimizer has stepped"
                )
            last = self.updates[name]
            return step(*args, **kwargs)

        scheduler.step = counted
        self._undo.append(partial(setattr, scheduler, "step", step))

    # --- checks ---------------------------------------------------------------------------------------------------

    def _check_number(self, name: str) -> None:
        """Compare the updates of this round with the number asked for."""
        asked, made = self._asked, self._made + (name == "critic")
        if name == "critic" and self._calls == 0:
            raise AlternationError(
                "optimizer_d stepped without a forward pass of the critic since the step before, after "
                f"{self._seen()}. Step it in the critic's update only"
            )
        if asked is None:
            return
        if name == "critic" and made > asked:
            raise AlternationError(f"critic update {made} of a round that was to have {asked}")
        leading = self.updates["critic"] == self.updates["generator"] == 0  # a loop that begins with the generator
        if name == "generator" and made != asked and not leading:
            raise AlternationError(
                f"generator update {self.updates['generator'] + 1} came after {made} of {asked} critic updates. "
                "Does the loop count micro-batches, or take the number modulo? If a gradient scaler skips steps, watch "
                "a later part of the run, or give ignore=('updates',)"
            )

    def _check_weights(self, name: str) -> None:
        """Compare all weights with those before the step."""
        moved = {
            network: not all(map(torch.equal, before, weights(self._networks[network])))
            for network, before in self._before.items()
        }
        other = "generator" if name == "critic" else "critic"
        if moved[other]:
            raise AlternationError(
                f"{name} update {self.updates[name]} moved weights of the {other}: its optimizer has parameters of both"
            )
        if not moved[name] and any(group["lr"] != 0.0 for group in self._optimizers[name].param_groups):
            raise AlternationError(
                f"{name} update {self.updates[name]} moved no weight of the {name}: its gradients are None or 0. Has "
                "its optimizer other parameters, is requires_grad False, or its loss multiplied by 0?"
            )

    def _check_batches(self) -> None:
        """Compare the batches of this critic update with those of this round and the one before."""
        number, current = self.updates["critic"], self.updates["generator"]
        while self._shown and self._shown[0][0] < current - 1:
            self._shown.popleft()
        for _, update, batches in self._shown:
            if batches & self._turn:
                raise AlternationError(
                    f"critic update {number} was shown the batch of critic update {update} again. Draw a batch for "
                    "each critic update, such as next(infinite_batches(loader))"
                )
        self._shown.append((current, number, self._turn))


def _checked_steps(steps: Any) -> Callable[[], int | None]:
    """Return a function that gives the critic updates of the next round."""
    if isinstance(steps, Controller):
        return lambda: steps.num_discriminator_steps
    if isinstance(steps, Rounds):
        return lambda: steps.steps
    number = steps if steps is None else integer("steps", steps, at_least=0)
    return lambda: number
