"""Which tests are supposed to hold which module."""

from __future__ import annotations

from typing import NamedTuple


class Module(NamedTuple):
    """A file of the package, and the tests that its mutants are tried on."""

    group: str
    """the row of the target that it belongs to"""
    path: str
    tests: tuple[str, ...]
    """arguments of pytest: files, tests"""


_LAWS = ("tests/laws/test_contract.py",)
_UPDATES = "tests/guard/test_updates.py"
_RULES = ("tests/guard/test_rules.py", "tests/guard/test_guard.py", _UPDATES)
_GUARD = ("tests/guard/test_guard.py", "tests/guard/test_rollback.py")
# Of the moments at which a resumed run is compared with an uninterrupted one: one of eleven, in each of three modes.
_RESUMED = "tests/guard/test_state.py::test_a_resumed_run_equals_the_uninterrupted_one"
_STATE = (
    "tests/guard/test_state.py",
    *(f"--deselect={_RESUMED}[{at}-" for at in (1, 8, 33, 36, 37, 50, 73, 76, 90, 119)),
)
_RANKS = "tests/guard/test_ranks.py::test_values_are_means_over_the_ranks"
_STARTS = "tests/guard/test_ranks.py::test_two_ranks_compare_what_they_start_from"
_COPIES = "tests/test_controller_copies.py::test_a_guard_with_objects_to_restore_is_not_copied"
_WINDOW = ("tests/guard/test_scores.py", "tests/guard/test_guard.py", _RANKS, _UPDATES)
_DECISION = (
    "tests/states/test_refused.py",
    "tests/handlers/test_golden.py",
    "tests/handlers/test_state.py",
    "tests/test_controller_law.py",
    "tests/test_effort.py",
    "--deselect=tests/handlers/test_state.py::test_numbers_of_a_law_replaced_by_other_numbers",  # of the laws
)
_SIGNALS = ("tests/signals", "tests/test_window.py", "tests/test_controller_reads.py")
_CONTROLLER = (
    "tests/test_controller_engine.py",
    "tests/test_controller_start.py",
    "tests/test_controller_limits.py",
    "tests/handlers/test_arguments.py",
    "tests/handlers/test_state.py",
    "tests/guard/test_state.py::test_a_controller_saves_its_guard",
    "--deselect=tests/handlers/test_state.py::test_numbers_of_a_law_replaced_by_other_numbers",  # of the laws
    # mutmut's own frames are between the warning and the line that it points to
    "--deselect=tests/test_controller_engine.py::test_the_warning_points_to_the_line_that_attached",
)

MODULES = {
    "rounding": Module("rounding", "adaptive_critic/rounding.py", ("tests/test_rounding.py",)),
    "laws.base": Module("laws", "adaptive_critic/laws/base.py", (*_LAWS, "tests/laws/test_base.py")),
    "laws.gap": Module("laws", "adaptive_critic/laws/gap.py", (*_LAWS, "tests/laws/test_gap.py")),
    "laws.pid": Module("laws", "adaptive_critic/laws/pid.py", (*_LAWS, "tests/laws/test_pid.py")),
    "laws.published": Module("laws", "adaptive_critic/laws/published.py", (*_LAWS, "tests/laws/test_published.py")),
    "laws.schedules": Module("laws", "adaptive_critic/laws/schedules.py", ("tests/laws/test_schedules.py",)),
    "guard.evidence": Module("guard", "adaptive_critic/guard/evidence.py", (*_RULES, "tests/guard/test_stalled.py")),
    "guard.limits": Module("guard", "adaptive_critic/guard/limits.py", _RULES),
    "guard.rules": Module("guard", "adaptive_critic/guard/rules.py", (*_RULES, "tests/guard/test_stalled.py")),
    "guard.divergence": Module("guard", "adaptive_critic/guard/divergence.py", (*_RULES, *_STATE)),
    "guard.updates": Module("guard", "adaptive_critic/guard/updates.py", (_UPDATES,)),
    "guard.scores": Module(
        "guard", "adaptive_critic/guard/scores.py", (*_WINDOW, *_STATE, "tests/guard/test_sharing.py")
    ),
    "guard.options": Module("guard", "adaptive_critic/guard/options.py", _GUARD),
    "guard.actions": Module("guard", "adaptive_critic/guard/actions.py", (*_GUARD, *_STATE)),
    "guard.snapshots": Module("guard", "adaptive_critic/guard/snapshots.py", ("tests/guard/test_rollback.py", *_STATE)),
    "guard.handler": Module(
        "guard",
        "adaptive_critic/guard/handler.py",
        (*_GUARD, *_STATE, _RANKS, _STARTS, _COPIES, _UPDATES, "tests/guard/test_gathering.py"),
    ),
    "laws.effort": Module("laws", "adaptive_critic/laws/effort.py", (*_LAWS, "tests/laws/test_effort.py")),
    "lengths": Module(
        "controller", "adaptive_critic/lengths.py", ("tests/test_controller_engine.py", "tests/test_effort.py")
    ),
    "decision.feedback": Module("controller", "adaptive_critic/decision/feedback.py", (*_DECISION, *_CONTROLLER)),
    "decision.bounds": Module("controller", "adaptive_critic/decision/bounds.py", (*_DECISION, *_CONTROLLER)),
    "decision.law_state": Module("controller", "adaptive_critic/decision/law_state.py", _DECISION),
    "decision.saved": Module("controller", "adaptive_critic/decision/saved.py", _DECISION),
    "signals.gap": Module("controller", "adaptive_critic/signals/gap.py", (*_DECISION, *_CONTROLLER, *_SIGNALS)),
    "signals.losses": Module("controller", "adaptive_critic/signals/losses.py", (*_DECISION, *_CONTROLLER, *_SIGNALS)),
    "signals.accuracy": Module(
        "controller", "adaptive_critic/signals/accuracy.py", (*_DECISION, *_CONTROLLER, *_SIGNALS)
    ),
    "signals.from_metrics": Module(
        "controller", "adaptive_critic/signals/from_metrics.py", (*_DECISION, *_CONTROLLER, *_SIGNALS)
    ),
    "rows": Module("controller", "adaptive_critic/rows.py", ("tests/test_rows.py", "tests/test_window.py")),
    "exchange": Module("controller", "adaptive_critic/exchange.py", ("tests/test_window.py", *_DECISION)),
    "decision.window": Module("controller", "adaptive_critic/decision/window.py", (*_DECISION, "tests/test_window.py")),
    "decision.schedule": Module("controller", "adaptive_critic/decision/schedule.py", (*_DECISION, *_CONTROLLER)),
    "alternation": Module(
        "controller", "adaptive_critic/alternation.py", (*_DECISION, *_CONTROLLER, "tests/test_run_summary.py")
    ),
    "published": Module("controller", "adaptive_critic/published.py", _CONTROLLER),
    "handler": Module(
        "controller",
        "adaptive_critic/handler.py",
        (*_CONTROLLER, "tests/test_budget.py", "tests/test_controller_copies.py"),
    ),
    "controller": Module("controller", "adaptive_critic/controller.py", _CONTROLLER),
    "rate": Module("rate", "adaptive_critic/rate.py", ("tests/test_rate.py",)),
}
