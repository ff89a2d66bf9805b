"""The public names that both packages share, and where each lives.

Read by `sogni` and `sogni_async`, whose own modules add what does I/O.
"""

from __future__ import annotations

_HOMES = {
    "errors": (
        "ApiError", "AuthenticationError", "ChatError", "ClientClosedError", "ConflictError",
        "ConnectionRejectedError", "CostLimitError", "InsufficientBalanceError", "JobError", "NotFoundError",
        "PartialFailureError", "PartialResultWarning", "PermissionDeniedError", "ProjectCanceledError",
        "ProjectError", "ProjectFailedError", "ProtocolError", "RateLimitError", "ServerError",
        "SogniConnectionError", "SogniError", "SogniTimeoutError", "ToolLimitError", "ValidationError",
        "is_retryable_chat_error",
    ),
    "machine.token_store": ("TokenStore",),
    "machine.vision": ("image_part",),
    "models.account": ("AccountInfo", "Balances", "TokenBalance", "UsernameValidation", "WalletBalance"),
    "models.catalogue": (
        "AvailableModel", "Choice", "ModelOptions", "NumberRange", "SizePreset", "SupportedModel",
        "VideoAssetConfig", "VideoAssets",
    ),
    "models.answers": ("ThinkingFilter", "without_thinking"),
    "models.chat": (
        "ChatCompletionChunk", "ChatCompletionResult", "ChatCost", "ChatFailure", "ChatJobState", "ChatMessage",
        "ImageAddress", "ImagePart", "LLMCostEstimation", "LLMModelInfo", "LLMPreset", "LLMRange", "TextPart",
        "TokenUsage",
    ),
    "models.conversations": ("ConversationRecord",),
    "models.converter": ("from_dict", "to_dict"),
    "models.estimates": ("CostEstimation",),
    "models.events": (
        "Connected", "Disconnected", "ErrorData", "EtaRange", "Event", "JobEvent", "ProjectEvent",
        "Reconnecting", "ToastMessage",
    ),
    "models.health": ("HealthCheck", "HealthReport"),
    "models.audio_params": ("AudioProjectParams",),
    "models.common_params": ("WorldGenerationReceipt",),
    "models.params": ("ControlNetParams", "ImageProjectParams"),
    "models.segmentation": ("Sam3Box", "Sam3Point", "Sam3Prompt"),
    "models.video_params": ("VideoControlNetParams", "VideoKeyframe", "VideoProjectParams"),
    "models.provenance": ("MaskSelection", "Provenance"),
    "models.records": ("JobRecord", "ProjectRecord"),
    "models.replays": ("ReplayRecord", "ReplayRecords", "ReplayRecordSummary", "ReplayWriteResult", "RunRecord"),
    "models.hosted_chat": (
        "HostedChatChoice", "HostedChatCompletionResult", "HostedToolExecution", "HostedToolOutcome", "HostedWorkflow",
    ),
    "models.rewards": ("Reward",),
    "models.runs": (
        "ChatRunEvent", "ChatRunRecord", "CostApprovalPreview", "MediaContext", "RunFinalResponse", "RunRequest",
        "RunRuntimeConfig", "RunScope", "RunTimestamps", "RunToolResult", "RunWaiting", "RunWaitingDetails", "ToolCost",
    ),
    "models.session": ("Session", "TokenPair", "Wallet"),
    "models.stats": ("LeaderboardEntry",),
    "models.subscriptions": ("FairUse", "Subscription", "SubscriptionPage", "SubscriptionPlan"),
    "models.templates": (
        "AmountRange", "TemplateAuthor", "TemplateInput", "TemplateMultiple", "TemplateOption", "TemplatePage",
        "WorkflowTemplate",
    ),
    "models.transactions": ("Transaction", "TransactionHistory", "TransactionQuery"),
    "models.workflow_plans": ("PlanFinding", "WorkflowDependency", "WorkflowInput", "WorkflowStep"),
    "models.workflows": (
        "MediaReference", "WorkflowArtifact", "WorkflowError", "WorkflowEvent", "WorkflowRecord", "WorkflowReseed",
        "WorkflowResumption", "WorkflowSseEvent", "WorkflowStepRecord",
    ),
    "models.tools": (
        "ToolArguments", "ToolCall", "ToolCallFunction", "ToolExecutionProgress", "ToolExecutionResult", "ToolRound",
    ),
    "protocol.tool_arguments": ("validate_tool_arguments",),
    "protocol.run_redaction": ("redact_run_record",),
    "protocol.event_readers": ("parse_creative_workflow_sse_chunk",),
    "protocol.tool_set": ("SogniTools", "build_sogni_tools", "is_sogni_tool_call", "parse_tool_call_arguments"),
    "settings": ("Attribution", "RetryPolicy", "Timeouts"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def shared_home(name: str, package: str) -> str:
    """The module a shared name lives in; AttributeError when `package` has no such name."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return f"sogni.{home}"
