"""Statistics of the ablation suite, from results alone.

Conventions, the same everywhere: quality and cost are better when lower; ratios are contender over
opponent, so that below 1 is a win; the mean over tasks and targets is geometric; intervals are 95 %
percentile bootstrap intervals with a fixed seed; seeds are paired, and both targets of a seed are drawn
together.
"""

from __future__ import annotations

from experiments.statistics.aggregates import (
    mean_ratio,
    mean_ratios,
    performance_profile,
    share_of_tasks,
    task_estimate,
)
from experiments.statistics.calibration import best_pairs, calibrate
from experiments.statistics.comparison import BEST_FIXED, BEST_PAIR, OWN_MEAN, Comparison, TaskComparison, compare
from experiments.statistics.goals import Goal
from experiments.statistics.measures import cost_to_target, quality_at_cost
from experiments.statistics.resampling import Estimate, log_ratio
from experiments.statistics.robust import interquartile_mean, median_task, probability_of_improvement
from experiments.statistics.scores import SHARES, Scores, Table, averaged_generator, runs_of
from experiments.statistics.verdict import AT_LIMIT, effort_goals, number_goals, verdict

__all__ = [
    "AT_LIMIT",
    "BEST_FIXED",
    "BEST_PAIR",
    "OWN_MEAN",
    "SHARES",
    "Comparison",
    "Estimate",
    "Goal",
    "Scores",
    "Table",
    "TaskComparison",
    "averaged_generator",
    "best_pairs",
    "calibrate",
    "compare",
    "cost_to_target",
    "effort_goals",
    "interquartile_mean",
    "log_ratio",
    "mean_ratio",
    "mean_ratios",
    "median_task",
    "number_goals",
    "performance_profile",
    "probability_of_improvement",
    "quality_at_cost",
    "runs_of",
    "share_of_tasks",
    "task_estimate",
    "verdict",
]
