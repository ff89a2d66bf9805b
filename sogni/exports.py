"""Public names of `sogni` and `sogni_async`, and the modules that define them.

`tools/public_names.py` generates the `__init__.py` of both packages from it. Run it after a change.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

FRONT_END = {
    "api.account": ("Account", "CurrentAccount"),
    "api.announcements": ("Announcements",),
    "api.api_client": ("ApiClient",),
    "api.chat": ("Chat", "ChatTools", "Completions"),
    "api.conversation": ("Conversation",),
    "api.loras": ("PersonalLoras",),
    "api.project": ("EnhancedImage", "Job", "Project", "ProjectResult"),
    "api.projects": ("Projects", "ReturnWhen", "as_completed", "wait"),
    "api.replay": ("Replay", "RunRecorder"),
    "api.runs": ("ChatRuns",),
    "api.saved_uploads": ("SavedUploads",),
    "api.streams": ("ChatStream", "EventStream"),
    "api.workflows": ("Templates", "Workflows"),
    "api.worlds": ("WorldBuilds", "Worlds"),
    "client": ("SogniClient",),
}  # fmt: skip
"""Defined separately in each package, by modules of the same name."""

SHARED = {
    "core.catalogue.video_models": ("calculate_video_frames", "frames_for_audio_guide"),
    "core.connection.messages": ("FrameType",),
    "core.projects.image_requests": ("EnhancementStrength",),
    "core.replay": ("redact_run_record",),
    "core.tools.arguments": ("validate_tool_arguments",),
    "core.tools.hosted": ("SogniTools", "build_sogni_tools", "is_sogni_tool_call", "parse_tool_call_arguments"),
    "core.workflows.event_readers": ("parse_creative_workflow_sse_chunk",),
    "errors": (
        "ApiError", "AuthenticationError", "ChatError", "ClientClosedError", "ConflictError",
        "ConnectionRejectedError", "CostLimitError", "InsufficientBalanceError", "JobError", "NotFoundError",
        "PartialFailureError", "PartialResultWarning", "PermissionDeniedError", "Phase", "ProjectCanceledError",
        "ProjectError", "ProjectFailedError", "ProtocolError", "RateLimitError", "ServerError",
        "SogniConnectionError", "SogniError", "SogniTimeoutError", "ToolLimitError", "ValidationError", "WorkerError",
        "is_retryable_chat_error",
    ),
    "local.chat_files": ("image_part",),
    "local.token_store": ("TokenStore",),
    "models.account": (
        "AccountInfo", "Balances", "FairUse", "LeaderboardEntry", "LeaderboardNetwork", "LeaderboardPeriod",
        "LeaderboardType", "RedirectType", "Reward", "Session", "Subscription", "SubscriptionPage",
        "SubscriptionLimitNotice", "SubscriptionPlan", "SubscriptionUsage", "Term", "Tier", "TokenBalance", "TokenPair",
        "Transaction", "TransactionHistory", "TransactionQuery", "TrialEligibility", "UsernameValidation", "Wallet",
        "WalletBalance",
    ),
    "models.announcements": ("Announcement", "AnnouncementAction"),
    "models.answers": ("ThinkingFilter", "without_thinking"),
    "models.base": ("BillingMode", "MediaKind"),
    "models.catalogue": (
        "Asset", "AvailableModel", "Choice", "ModelOptions", "NumberRange", "SizePreset", "SupportedModel",
        "VideoAssetConfig", "VideoAssets",
    ),
    "models.chat": (
        "ChatCompletionChunk", "ChatCompletionResult", "ChatCost", "ChatFailure", "ChatJobState", "ChatMessage",
        "ConversationRecord", "HostedChatChoice", "HostedChatCompletionResult", "HostedToolExecution",
        "HostedToolOutcome", "HostedWorkflow", "ImageAddress", "ImagePart", "LLMCostEstimation", "LLMModelInfo",
        "LLMPreset", "LLMRange", "MediaContext", "TaskProfile", "TextPart", "TokenUsage", "ToolChoice", "ToolFamily",
    ),
    "models.connection": (
        "Connected", "Disconnected", "HealthCheck", "HealthReport", "NetworkStatus", "RawReply", "Reconnecting",
        "ToastMessage",
    ),
    "models.converter": ("from_dict", "to_dict"),
    "models.loras": (
        "Lora", "LoraCatalog", "LoraConstraints", "LoraExample", "LoraExampleGroup", "LoraRangeLabels", "LoraSection",
        "LoraUi", "PersonalLora", "PersonalLoraFailure", "PersonalLoraLimits", "PersonalLoraList",
        "PersonalLoraStatus",
    ),
    "models.params": (
        "AudioFormat", "AudioProjectParams", "ControlNetMode", "ControlNetName", "ControlNetParams",
        "DetailPreference", "ExtendOutput", "ImageFormat", "ImageProjectParams", "MediaInput", "ProcessingSpeed",
        "ProjectParams", "Sam3Box", "Sam3Label", "Sam3Point", "Sam3Prompt", "SeedanceTaskType", "TemplateVariant",
        "VideoCompression", "VideoControlNetName", "VideoControlNetParams", "VideoFormat", "VideoKeyframe",
        "VideoProjectParams", "WorldGenerationReceipt",
    ),
    "models.projects": (
        "AnyProjectEvent", "CanceledEvent", "CompletedEvent", "ConsentRequired", "CostEstimation", "ErrorData",
        "EtaRange", "Event", "FailedEvent", "JobCompletedEvent", "JobEvent", "JobEventName", "JobFailedEvent",
        "JobRecord", "JobResult", "JobStartedEvent", "JobStatus", "MaskSelection", "MissingProject", "MissingState",
        "ProgressEvent", "ProjectEvent", "ProjectEventName", "ProjectRecord", "ProjectStatus", "ProjectStatusRecord",
        "ProjectType", "ProjectsSync", "Provenance", "RecentJob", "RecentProject", "ResultKind", "SyncReason",
        "UpdatedEvent", "UrlUnavailable",
        "JobWaitingReason", "Preparation", "QueueChange", "QueueChangedEvent", "QueueStatus",
        "VendorFailureCategory", "WaitingReason",
    ),
    "models.replay": ("ReplayRecord", "ReplayRecordSummary", "ReplayRecords", "ReplayWriteResult", "RunRecord"),
    "models.runs": (
        "ChatRunEvent", "ChatRunRecord", "CostApprovalPreview", "RunFinalResponse", "RunRequest", "RunRuntimeConfig",
        "RunScope", "RunStatus", "RunTimestamps", "RunToolResult", "RunWaiting", "RunWaitingDetails", "ToolCost",
    ),
    "models.saved_uploads": (
        "SavedUpload", "SavedUploadCapabilities", "SavedUploadLimits", "SavedUploadList", "SavedUploadState",
    ),
    "models.tools": (
        "ToolArguments", "ToolCall", "ToolCallFunction", "ToolExecutionProgress", "ToolExecutionResult", "ToolRound",
    ),
    "models.workflows": (
        "AmountRange", "Listing", "MediaReference", "PlanFinding", "PlanRule", "StepMedia", "TemplateAuthor",
        "TemplateInput", "TemplateMultiple", "TemplateOption", "TemplatePage", "Visibility", "WorkflowArtifact",
        "WorkflowDependency", "WorkflowError", "WorkflowEvent", "WorkflowRecord", "WorkflowReseed",
        "WorkflowResumption", "WorkflowSseEvent", "WorkflowStatus", "WorkflowStep", "WorkflowStepRecord",
        "WorkflowTemplate",
    ),
    "models.worlds": (
        "HotspotKind", "WorldAction", "WorldBuild", "WorldBuildDecision", "WorldBuildEvent", "WorldBuildTask",
        "WorldBuildWaiting", "WorldHotspot", "WorldReviewDecision",
    ),
    "plans": ("WorkflowInput",),
    "settings": (
        "AgentSurface", "Attribution", "AuthType", "ExecutionMode", "InteractionKind", "Network", "OperationScope",
        "RetryPolicy", "Timeouts", "TokenType", "WorkloadKind",
    ),
}  # fmt: skip
"""The same objects in both packages."""

_SHARED_HOMES = {name: f"sogni.{home}" for home, names in SHARED.items() for name in names}
_FRONT_END_HOMES = {name: home for home, names in FRONT_END.items() for name in names}


def home_of(name: str, package: str) -> str:
    """Return the module that defines a public name of a package. Raises AttributeError for unknown names."""
    if name in _FRONT_END_HOMES:
        return f"{package}.{_FRONT_END_HOMES[name]}"
    try:
        return _SHARED_HOMES[name]
    except KeyError:
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name) from None


def public_object(name: str, package: str) -> Any:
    """Return the object that a package exports under a name. Raises AttributeError for unknown names.

    `suggest_keywords` is applied to shared classes and functions here, when they are first accessed, so that classes
    that users never construct, such as those of results, stay fast. Classes of the front ends apply it where they are
    defined.
    """
    home = import_module(home_of(name, package))
    value = getattr(home, name)
    if name in _SHARED_HOMES and callable(value):
        from sogni.keywords import suggest_keywords

        value = suggest_keywords(value)
        setattr(home, name, value)
    return value
