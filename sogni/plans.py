"""Checking, loading and saving plans: what `WorkflowInput` needs from the core and from the file system."""

from __future__ import annotations

import copyreg
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from sogni.core.workflows.plans import plan_findings
from sogni.local.plan_files import load_plan, save_plan
from sogni.models.workflows import PlanFinding, WorkflowInput, provide_plan_functions

__all__ = ["WorkflowInput"]


class _PlanFunctions:
    def findings(self, plan: WorkflowInput, media_references: Sequence[Any] | None) -> list[PlanFinding]:
        return plan_findings(plan, media_references=media_references)

    def load(self, path: str | os.PathLike[str]) -> WorkflowInput:
        return load_plan(path)

    def save(self, plan: WorkflowInput, path: str | os.PathLike[str]) -> Path:
        return save_plan(plan, path)


provide_plan_functions(_PlanFunctions())


def _rebuild(fields: dict[str, Any]) -> WorkflowInput:
    return WorkflowInput(**fields)


# A plan is unpickled by a function of this module, so that it can be checked and saved in another process, too.
copyreg.pickle(WorkflowInput, lambda plan: (_rebuild, (asdict(plan, recurse=False),)))
