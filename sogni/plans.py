"""Plans that can be checked, loaded and saved: `WorkflowInput`, together with the functions that it needs."""

from __future__ import annotations

import copyreg
from typing import Any

from attrs import asdict

from sogni.core.workflows.plans import plan_findings
from sogni.local.plan_files import load_plan, save_plan
from sogni.models.workflows import PlanFunctions, WorkflowInput

__all__ = ["WorkflowInput"]

WorkflowInput._functions = PlanFunctions(
    check=lambda plan, media_references: plan_findings(plan, media_references=media_references),
    load=load_plan,
    save=save_plan,
)


def _rebuild(fields: dict[str, Any]) -> WorkflowInput:
    return WorkflowInput(**fields)


# Plans are unpickled by a function of this module, so that another process imports it too.
copyreg.pickle(WorkflowInput, lambda plan: (_rebuild, (asdict(plan, recurse=False),)))
