"""Checks of arguments that several modules share.

Each returns the value as a plain one. A wrong type raises a TypeError, a wrong value a ValueError: it quotes the input
and says what would be right.
"""

from __future__ import annotations

import difflib
import inspect
import keyword
import math
import operator
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial, wraps
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar, cast

_CallableT = TypeVar("_CallableT", bound=Callable[..., object])

LARGEST = 2**63
"""largest int that an argument or a state may hold; it converts to a float"""


# What other code calls our arguments.
_OTHER_NAMES = {
    "initial": ("n_critic", "n_dis", "critic_iters"),
    "steps": ("n_critic", "n_dis", "critic_iters", "n"),
    "latent_dim": ("z_dim", "nz", "noise_dim"),
    "gradient_penalty": ("gp", "gp_weight", "lambda_gp"),
    "objective": ("loss", "gan_mode"),
}

# Parts of the repr of equal settings that differ between ranks: an address in memory, the rank's device.
_OF_ONE_RANK = re.compile(r" at 0x[0-9a-fA-F]+|, index=\d+(?=\))|(?<=cuda):\d+|(?<=[hnx]pu):\d+")


def describe(value: object) -> str:
    """Return ``repr(value)`` in a form that is equal on every rank; for a function, its name."""
    if inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(describe, value)))}}}"
    return _OF_ONE_RANK.sub("", repr(value))


def shortened(value: object) -> str:
    """Return ``repr(value)``, shortened if it is long; an int of thousands of digits has no repr."""
    try:
        text = " ".join(repr(value).splitlines())  # networks and optimizers have many lines
    except ValueError:
        return f"an int of {value.bit_length() if isinstance(value, int) else 'many'} bits"
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def kind_of(value: object) -> str:
    """Return what a value is, for an error: the name of its type, or that it is a class itself."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _parameters(callee: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters of a function, or of a class's constructor without self."""
    if isinstance(callee, type):
        return list(inspect.signature(callee.__init__).parameters.values())[1:]  # type: ignore[misc]  # this very class
    return list(inspect.signature(callee).parameters.values())


def keywords(**hints: str) -> Callable[[_CallableT], _CallableT]:
    """Return a decorator that checks calls of a function as :func:`call` does.

    Args:
        hints: what to do in place of keywords that the function does not have.
    """

    def decorate(function: _CallableT) -> _CallableT:
        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs.keys() & hints.keys():
                raise TypeError(f"{function.__name__} has no argument {name!r}: {hints[name]}")
            call(function, args, kwargs)
            return function(*args, **kwargs)

        return cast("_CallableT", checked)

    return decorate


def call(callee: Callable[..., object], args: Sequence[object], kwargs: Iterable[str]) -> None:
    """Check a call of a function or a class: values that need a name, and names that it does not know.

    Raises:
        TypeError: if there is one. The message lists the names.
    """
    parameters = _parameters(callee)
    kinds = [parameter.kind for parameter in parameters]
    named = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    allowed = sum(
        kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds
    )
    if len(args) > allowed and named and inspect.Parameter.VAR_POSITIONAL not in kinds:
        value = shortened(args[allowed])
        if hasattr(args[allowed], "param_groups"):
            found = "no optimizer, for it does not set a learning rate" if allowed == 0 else "no further optimizer"
            raise TypeError(
                f"{callee.__name__}({value}): it takes {found}; CriticEffortController(optimizer_d) sets both the "
                "number of critic updates and the critic's rate"
            )
        raise TypeError(
            f"{callee.__name__}({value}): give this value by name, such as {named[0]}={value}; "
            f"the names are {', '.join(named)}"
        )
    rest = [parameter for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD]
    options = _options(callee, str(rest[0].annotation)) if rest else ()
    if options is not None:
        known(callee, kwargs, options)


def _options(callee: Callable[..., object], annotation: str) -> Collection[str] | None:
    """Return the keys of Options if a constructor takes ``**options: Unpack[Options]``, None if it takes any."""
    found = re.fullmatch(r"Unpack\[(\w+)\]", annotation)
    module = callee.__init__.__module__ if isinstance(callee, type) else callee.__module__  # type: ignore[misc]
    options = found and vars(sys.modules[module]).get(found[1])
    return options.__annotations__ if options else None


def known(callee: Callable[..., object], given: Iterable[str], more: Collection[str] = ()) -> None:
    """Check that keywords are among the arguments that a function or a constructor lists, or among ``more``.

    Raises:
        TypeError: if one is not. The message names the one that was probably meant.
    """
    names = list(dict.fromkeys((*(p.name for p in _parameters(callee) if p.kind is not p.VAR_KEYWORD), *more)))
    for name in given:
        if name not in names:
            close = [ours for ours, others in _OTHER_NAMES.items() if name in others and ours in names]
            close += difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}? It takes" if close else "it takes"
            raise TypeError(f"{callee.__name__} has no argument {name!r}: {hint} {', '.join(names)}")


def integer(name: str, value: object, at_least: int) -> int:
    """Return ``value`` as an int of at least ``at_least``. Floats such as 5.0 are refused: they hide a division."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name}={shortened(value)}: expected an int of at least {at_least}, got {type(value).__name__}"
        )
    if value < at_least:
        raise ValueError(f"{name}={shortened(value)}: expected an int of at least {at_least}")
    number = int(value)
    if number > LARGEST:
        raise ValueError(f"{name}={shortened(value)}: expected an int of at most 2**63")
    return number


def finite(name: str, value: object) -> float:
    """Return ``value`` as a float that is neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={shortened(value)}: expected a finite number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name}={shortened(value)}: expected a number that a float can hold") from None
    if not math.isfinite(number):
        raise ValueError(f"{name}={value!r}: expected a finite number")
    return number


_BOUNDS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}


def real(name: str, value: object, **bounds: float) -> float:
    """Return ``value`` as a finite float within the bounds ``at_least``, ``above``, ``at_most`` and ``below``."""
    number = finite(name, value)
    if not all(_BOUNDS[word](number, bound) for word, bound in bounds.items()):
        words = [f"{word.replace('_', ' ')} {bound:g}" for word, bound in bounds.items()]
        raise ValueError(f"{name}={value!r}: expected a number {' and '.join(words)}")
    return number


Check: TypeAlias = "Callable[[str, Any], Any]"
"""called with an argument's name and value; returns the value as a plain number"""


def above(bound: float) -> Check:
    """Return a check for finite numbers above ``bound``."""
    return partial(real, above=bound)


def at_least(bound: float) -> Check:
    """Return a check for finite numbers of at least ``bound``."""
    return partial(real, at_least=bound)


def between(lower: float, upper: float) -> Check:
    """Return a check for numbers above ``lower`` and below ``upper``."""
    return partial(real, above=lower, below=upper)


def whole(bound: int) -> Check:
    """Return a check for ints of at least ``bound``."""
    return partial(integer, at_least=bound)


def share_kept(name: str, value: object) -> float:
    """Return the factor of a running average, in [0, 1)."""
    return real(name, value, at_least=0.0, below=1.0)


def boolean(name: str, value: object) -> bool:
    """Return ``value`` if it is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: expected True or False, got {type(value).__name__}")
    return value


def attribute_name(name: str, value: object) -> str:
    """Return ``value`` if it is a name that works as an attribute."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected a str, got {type(value).__name__}")
    if not value.isidentifier() or keyword.iskeyword(value):
        raise ValueError(f"{name}={value!r}: expected a name that works as an attribute")
    return value


def stateful(argument: str, name: object, value: object, expected: str) -> None:
    """Check an entry of a dict from names to objects: it must have ``state_dict`` and ``load_state_dict``."""
    if not isinstance(name, str):
        raise TypeError(f"{argument} has the key {name!r}: expected names, got {type(name).__name__}")
    if isinstance(value, type):
        raise TypeError(f"{argument}[{name!r}] is the class {value.__name__}: expected an object of it")
    for method in ("state_dict", "load_state_dict"):
        if not callable(getattr(value, method, None)):
            kind = type(value).__name__
            raise TypeError(f"{argument}[{name!r}] has no {method}(): expected {expected}, got {kind}")


def limits_pair(value: object) -> tuple[int, int]:
    """Return ``value`` as a pair (lower, upper) of ints with 0 <= lower <= upper and 1 <= upper."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"limits={value!r}: expected a pair of ints (lower, upper), such as (1, 10)")
    lower, upper = value
    for bound in (lower, upper):
        if isinstance(bound, bool) or not isinstance(bound, Integral):
            raise TypeError(f"limits={value!r}: expected ints, {bound!r} is a {type(bound).__name__}")
    if max(abs(lower), abs(upper)) > LARGEST:
        raise ValueError(f"limits=({shortened(lower)}, {shortened(upper)}): expected ints of at most 2**63")
    if lower < 0:
        raise ValueError(f"limits={value!r}: lower must be at least 0")
    if lower > upper:
        raise ValueError(f"limits={value!r}: lower must not be above upper; did you mean ({upper}, {lower})?")
    if upper < 1:
        raise ValueError(f"limits={value!r}: upper must be at least 1, or the critic would never be trained")
    return int(lower), int(upper)
