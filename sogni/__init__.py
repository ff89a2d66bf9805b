"""The Sogni Supernet from Python: images, video, music and text, blocking and simple.

Everything public is here; the asyncio twin with the same names is `sogni_async`. Names are loaded at
first use, so that importing costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .public import shared_home

if TYPE_CHECKING:
    from .api.account import Account, CurrentAccount
    from .api.chat import Chat, Completions
    from .api.chat_tools import ChatTools
    from .api.conversation import Conversation
    from .api.event_streams import EventStream
    from .api.job import EnhancedImage, Job
    from .api.low_level import ApiClient
    from .api.many import as_completed, wait
    from .api.project import Project
    from .api.projects import Projects
    from .api.replay import Replay
    from .api.run_recorder import RunRecorder
    from .api.runs import ChatRuns
    from .api.streams import ChatStream
    from .api.templates import Templates
    from .api.workflows import Workflows
    from .client import SogniClient
    from .errors import (
        ApiError,
        AuthenticationError,
        ChatError,
        ClientClosedError,
        ConflictError,
        ConnectionRejectedError,
        CostLimitError,
        InsufficientBalanceError,
        JobError,
        NotFoundError,
        PartialFailureError,
        PartialResultWarning,
        PermissionDeniedError,
        ProjectCanceledError,
        ProjectError,
        ProjectFailedError,
        ProtocolError,
        RateLimitError,
        ServerError,
        SogniConnectionError,
        SogniError,
        SogniTimeoutError,
        ToolLimitError,
        ValidationError,
        is_retryable_chat_error,
    )
    from .machine.token_store import TokenStore
    from .machine.vision import image_part
    from .models.account import AccountInfo, Balances, TokenBalance, UsernameValidation, WalletBalance
    from .models.answers import ThinkingFilter, without_thinking
    from .models.audio_params import AudioProjectParams
    from .models.catalogue import (
        AvailableModel,
        Choice,
        ModelOptions,
        NumberRange,
        SizePreset,
        SupportedModel,
        VideoAssetConfig,
        VideoAssets,
    )
    from .models.chat import (
        ChatCompletionChunk,
        ChatCompletionResult,
        ChatCost,
        ChatFailure,
        ChatJobState,
        ChatMessage,
        ImageAddress,
        ImagePart,
        LLMCostEstimation,
        LLMModelInfo,
        LLMPreset,
        LLMRange,
        TextPart,
        TokenUsage,
    )
    from .models.common_params import WorldGenerationReceipt
    from .models.conversations import ConversationRecord
    from .models.converter import from_dict, to_dict
    from .models.estimates import CostEstimation
    from .models.events import (
        Connected,
        Disconnected,
        ErrorData,
        EtaRange,
        Event,
        JobEvent,
        ProjectEvent,
        Reconnecting,
        ToastMessage,
    )
    from .models.health import HealthCheck, HealthReport
    from .models.hosted_chat import (
        HostedChatChoice,
        HostedChatCompletionResult,
        HostedToolExecution,
        HostedToolOutcome,
        HostedWorkflow,
    )
    from .models.params import ControlNetParams, ImageProjectParams
    from .models.provenance import MaskSelection, Provenance
    from .models.records import JobRecord, ProjectRecord
    from .models.replays import ReplayRecord, ReplayRecords, ReplayRecordSummary, ReplayWriteResult, RunRecord
    from .models.rewards import Reward
    from .models.runs import (
        ChatRunEvent,
        ChatRunRecord,
        CostApprovalPreview,
        MediaContext,
        RunFinalResponse,
        RunRequest,
        RunRuntimeConfig,
        RunScope,
        RunTimestamps,
        RunToolResult,
        RunWaiting,
        RunWaitingDetails,
        ToolCost,
    )
    from .models.segmentation import Sam3Box, Sam3Point, Sam3Prompt
    from .models.session import Session, TokenPair, Wallet
    from .models.stats import LeaderboardEntry
    from .models.subscriptions import FairUse, Subscription, SubscriptionPage, SubscriptionPlan
    from .models.templates import (
        AmountRange,
        TemplateAuthor,
        TemplateInput,
        TemplateMultiple,
        TemplateOption,
        TemplatePage,
        WorkflowTemplate,
    )
    from .models.tools import (
        ToolArguments,
        ToolCall,
        ToolCallFunction,
        ToolExecutionProgress,
        ToolExecutionResult,
        ToolRound,
    )
    from .models.transactions import Transaction, TransactionHistory, TransactionQuery
    from .models.video_params import VideoControlNetParams, VideoKeyframe, VideoProjectParams
    from .models.workflow_plans import PlanFinding, WorkflowDependency, WorkflowInput, WorkflowStep
    from .models.workflows import (
        MediaReference,
        WorkflowArtifact,
        WorkflowError,
        WorkflowEvent,
        WorkflowRecord,
        WorkflowReseed,
        WorkflowResumption,
        WorkflowSseEvent,
        WorkflowStepRecord,
    )
    from .protocol.event_readers import parse_creative_workflow_sse_chunk
    from .protocol.run_redaction import redact_run_record
    from .protocol.tool_arguments import validate_tool_arguments
    from .protocol.tool_set import SogniTools, build_sogni_tools, is_sogni_tool_call, parse_tool_call_arguments
    from .settings import VERSION as __version__  # noqa: N811
    from .settings import Attribution, RetryPolicy, Timeouts

_HOMES = {
    "Account": "api.account",
    "ApiClient": "api.low_level",
    "Chat": "api.chat",
    "ChatRuns": "api.runs",
    "ChatStream": "api.streams",
    "ChatTools": "api.chat_tools",
    "Completions": "api.chat",
    "Conversation": "api.conversation",
    "CurrentAccount": "api.account",
    "EnhancedImage": "api.job",
    "EventStream": "api.event_streams",
    "Job": "api.job",
    "Project": "api.project",
    "Projects": "api.projects",
    "Replay": "api.replay",
    "RunRecorder": "api.run_recorder",
    "SogniClient": "client",
    "Templates": "api.templates",
    "Workflows": "api.workflows",
    "as_completed": "api.many",
    "wait": "api.many",
}

__all__ = [
    "Account",
    "AccountInfo",
    "AmountRange",
    "ApiClient",
    "ApiError",
    "Attribution",
    "AudioProjectParams",
    "AuthenticationError",
    "AvailableModel",
    "Balances",
    "Chat",
    "ChatCompletionChunk",
    "ChatCompletionResult",
    "ChatCost",
    "ChatError",
    "ChatFailure",
    "ChatJobState",
    "ChatMessage",
    "ChatRunEvent",
    "ChatRunRecord",
    "ChatRuns",
    "ChatStream",
    "ChatTools",
    "Choice",
    "ClientClosedError",
    "Completions",
    "ConflictError",
    "Connected",
    "ConnectionRejectedError",
    "ControlNetParams",
    "Conversation",
    "ConversationRecord",
    "CostApprovalPreview",
    "CostEstimation",
    "CostLimitError",
    "CurrentAccount",
    "Disconnected",
    "EnhancedImage",
    "ErrorData",
    "EtaRange",
    "Event",
    "EventStream",
    "FairUse",
    "HealthCheck",
    "HealthReport",
    "HostedChatChoice",
    "HostedChatCompletionResult",
    "HostedToolExecution",
    "HostedToolOutcome",
    "HostedWorkflow",
    "ImageAddress",
    "ImagePart",
    "ImageProjectParams",
    "InsufficientBalanceError",
    "Job",
    "JobError",
    "JobEvent",
    "JobRecord",
    "LLMCostEstimation",
    "LLMModelInfo",
    "LLMPreset",
    "LLMRange",
    "LeaderboardEntry",
    "MaskSelection",
    "MediaContext",
    "MediaReference",
    "ModelOptions",
    "NotFoundError",
    "NumberRange",
    "PartialFailureError",
    "PartialResultWarning",
    "PermissionDeniedError",
    "PlanFinding",
    "Project",
    "ProjectCanceledError",
    "ProjectError",
    "ProjectEvent",
    "ProjectFailedError",
    "ProjectRecord",
    "Projects",
    "ProtocolError",
    "Provenance",
    "RateLimitError",
    "Reconnecting",
    "Replay",
    "ReplayRecord",
    "ReplayRecordSummary",
    "ReplayRecords",
    "ReplayWriteResult",
    "RetryPolicy",
    "Reward",
    "RunFinalResponse",
    "RunRecord",
    "RunRecorder",
    "RunRequest",
    "RunRuntimeConfig",
    "RunScope",
    "RunTimestamps",
    "RunToolResult",
    "RunWaiting",
    "RunWaitingDetails",
    "Sam3Box",
    "Sam3Point",
    "Sam3Prompt",
    "ServerError",
    "Session",
    "SizePreset",
    "SogniClient",
    "SogniConnectionError",
    "SogniError",
    "SogniTimeoutError",
    "SogniTools",
    "Subscription",
    "SubscriptionPage",
    "SubscriptionPlan",
    "SupportedModel",
    "TemplateAuthor",
    "TemplateInput",
    "TemplateMultiple",
    "TemplateOption",
    "TemplatePage",
    "Templates",
    "TextPart",
    "ThinkingFilter",
    "Timeouts",
    "ToastMessage",
    "TokenBalance",
    "TokenPair",
    "TokenStore",
    "TokenUsage",
    "ToolArguments",
    "ToolCall",
    "ToolCallFunction",
    "ToolCost",
    "ToolExecutionProgress",
    "ToolExecutionResult",
    "ToolLimitError",
    "ToolRound",
    "Transaction",
    "TransactionHistory",
    "TransactionQuery",
    "UsernameValidation",
    "ValidationError",
    "VideoAssetConfig",
    "VideoAssets",
    "VideoControlNetParams",
    "VideoKeyframe",
    "VideoProjectParams",
    "Wallet",
    "WalletBalance",
    "WorkflowArtifact",
    "WorkflowDependency",
    "WorkflowError",
    "WorkflowEvent",
    "WorkflowInput",
    "WorkflowRecord",
    "WorkflowReseed",
    "WorkflowResumption",
    "WorkflowSseEvent",
    "WorkflowStep",
    "WorkflowStepRecord",
    "WorkflowTemplate",
    "Workflows",
    "WorldGenerationReceipt",
    "__version__",
    "as_completed",
    "build_sogni_tools",
    "from_dict",
    "image_part",
    "is_retryable_chat_error",
    "is_sogni_tool_call",
    "parse_creative_workflow_sse_chunk",
    "parse_tool_call_arguments",
    "redact_run_record",
    "to_dict",
    "validate_tool_arguments",
    "wait",
    "without_thinking",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(".settings", __name__).VERSION
    home = _HOMES.get(name)
    module = f"{__name__}.{home}" if home else shared_home(name, __name__)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
