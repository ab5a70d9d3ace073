"""Exact resume: the recipe of a checkpoint, saving and loading it, and a check that it is complete."""

from __future__ import annotations

from adaptive_critic.resume.check import ResumeDifference, check_resume
from adaptive_critic.resume.recipe import complete_recipe
from adaptive_critic.resume.saving import Resumed, resume_exactly

__all__ = ["ResumeDifference", "Resumed", "check_resume", "complete_recipe", "resume_exactly"]
