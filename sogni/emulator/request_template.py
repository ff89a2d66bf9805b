"""The keys every ``jobRequest`` carries with the same value (projects-4.2 §4.1, §4.2).

Read by the check of requests. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REQUEST_TEMPLATE: Mapping[str, Any] = {
    "selectedUpscalingModel": "OFF",
    "cnVideoFramesSketch": [],
    "cnVideoFramesSegmentedSubject": [],
    "cnVideoFramesFace": [],
    "cnVideoFramesBoth": [],
    "cnVideoFramesDepth": [],
    "cnVideoFrames": [],
    "cnVideoFramesSegmentedBackground": [],
    "cnVideoFramesSegmented": [],
    "cnVideoFramesPose": [],
    "siVideoFrames": [],
    "doCanvasBlending": False,
    "animationIsOn": False,
    "canvasIsOn": False,
    "frameRate": 24,
    "generatedVideoSeconds": 10,
}

KEY_FRAME_TEMPLATE: Mapping[str, Any] = {
    "stepsIsEnabled": True,
    "siRotation": 0,
    "siDragOffsetIsEnabled": True,
    "siZoomScaleIsEnabled": True,
    "isEnabled": True,
    "processing": "CPU, GPU",
    "useLastImageAsGuideImageInAnimation": True,
    "guidanceScaleIsEnabled": True,
    "siImageBackgroundColor": "black",
    "cnDragOffset": [0, 0],
    "cnRotation": 0,
    "siZoomScale": 1,
    "cnRotationIsEnabled": True,
    "startingImageZoomPanIsOn": False,
    "siRotationIsEnabled": True,
    "cnImageBackgroundColor": "clear",
    "strengthIsEnabled": True,
    "siDragOffset": [0, 0],
    "useLastImageAsCNImageInAnimation": False,
    "controlNetZoomPanIsOn": False,
    "cnZoomScaleIsEnabled": True,
    "currentControlNets": None,
    "cnDragOffsetIsEnabled": True,
    "frameIndex": 0,
    "startingImage": None,
    "cnZoomScale": 1,
}

ATTRIBUTION_KEYS = (
    "workloadKind",
    "agentFramework",
    "agentFrameworkVersion",
    "agentSurface",
    "agentSurfaceVersion",
    "executionMode",
    "operationScope",
    "operationId",
    "rootOperationId",
    "parentOperationId",
)
"""Flat workload fields at the top level, all optional (transport §14)."""
