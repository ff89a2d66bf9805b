"""Language models and their limits (transport §9.3)."""

from __future__ import annotations

from attrs import field, frozen

from .base import Model, wire


@frozen(kw_only=True)
class LLMRange(Model):
    """Allowed values of a sampling parameter."""

    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    default: float | None = None
    thinking_complex_default: float | None = None


@frozen(kw_only=True)
class LLMPreset(Model):
    """Sampling parameters that suit one way of using a model."""

    temperature: float | None = None
    top_p: float | None = field(default=None, metadata=wire("top_p"))
    top_k: float | None = field(default=None, metadata=wire("top_k"))
    min_p: float | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: float | None = field(default=None, metadata=wire("repetition_penalty"))
    presence_penalty: float | None = field(default=None, metadata=wire("presence_penalty"))


@frozen(kw_only=True)
class LLMModelInfo(Model):
    """A language model with workers now: how many, its context length in tokens, its limits and presets."""

    workers: int = 0
    max_context_length: int | None = None
    max_output_tokens: LLMRange | None = None
    temperature: LLMRange | None = None
    top_p: LLMRange | None = field(default=None, metadata=wire("top_p"))
    top_k: LLMRange | None = field(default=None, metadata=wire("top_k"))
    min_p: LLMRange | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: LLMRange | None = field(default=None, metadata=wire("repetition_penalty"))
    frequency_penalty: LLMRange | None = field(default=None, metadata=wire("frequency_penalty"))
    presence_penalty: LLMRange | None = field(default=None, metadata=wire("presence_penalty"))
    defaults_thinking: LLMPreset | None = None
    defaults_thinking_coding: LLMPreset | None = None
    defaults_non_thinking: LLMPreset | None = None
    defaults_non_thinking_reasoning: LLMPreset | None = None
