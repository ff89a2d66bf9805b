"""The language models: limits, presets and prices. Values only; the prices are the emulator's own."""
# Protocol notes: chat §7, transport §9.3.

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import field, frozen

from sogni.emulator.account.accounts import Token, decimal_text
from sogni.emulator.catalogue.models import table
from sogni.emulator.projects.orders import USD_PER_TOKEN, cents

DEFAULT_MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"


@frozen(kw_only=True)
class LanguageModel:
    """One model. Prices are US dollars per million tokens; lengths are in tokens."""

    id: str
    context: int
    output: int = 8192
    output_limit: int = 32_768
    thinking_output: int = 16_384
    input_usd: Decimal = field(default=Decimal("0.15"), converter=Decimal)
    output_usd: Decimal = field(default=Decimal("0.60"), converter=Decimal)

    def info(self, workers: int) -> dict[str, object]:
        """Return the model's entry in ``swarmLLMModels``."""
        return {
            "workers": workers,
            "maxContextLength": self.context,
            "maxOutputTokens": {
                "min": 1,
                "max": self.output_limit,
                "default": self.output,
                "thinkingComplexDefault": self.thinking_output,
            },
            **table("languageModelSettings"),
        }

    def price(self, input_tokens: int, output_tokens: int) -> Price:
        usd = (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1_000_000
        return Price(usd=usd, input_tokens=input_tokens, output_tokens=output_tokens)


@frozen(kw_only=True)
class Price:
    """The price of a number of tokens."""

    usd: Decimal
    input_tokens: int
    output_tokens: int

    def in_token(self, token: Token) -> Decimal:
        return cents(self.usd / USD_PER_TOKEN[token])

    def _amounts(self, token: Token) -> dict[str, Decimal]:
        return {
            "costInUSD": self.usd.quantize(Decimal("0.00000001")),
            "costInToken": self.in_token(token),
            "costInSogni": self.in_token("sogni"),
            "costInSpark": self.in_token("spark"),
        }

    def _tokens(self) -> dict[str, int]:
        return {"inputTokens": self.input_tokens, "outputTokens": self.output_tokens}

    def settled(self, token: Token) -> dict[str, object]:
        """Return the ``cost`` of a result, with amounts as decimal strings."""
        # Protocol notes: chat §3.
        return {**{key: decimal_text(amount) for key, amount in self._amounts(token).items()}, **self._tokens()}

    def quoted(self, token: Token) -> dict[str, object]:
        """Return the ``quote`` of an estimate, with amounts as numbers."""
        # Protocol notes: chat §8.
        return {**{key: float(amount) for key, amount in self._amounts(token).items()}, **self._tokens()}


LANGUAGE_MODELS: Mapping[str, LanguageModel] = {
    model.id: model
    for model in (
        LanguageModel(id=DEFAULT_MODEL, context=262_144),
        LanguageModel(id="qwen3-vl-8b-instruct-fp8", context=131_072, input_usd="0.05", output_usd="0.20"),
        LanguageModel(
            id="qwen3-vl-4b-instruct-fp8",
            context=32_768,
            output=4096,
            output_limit=8192,
            thinking_output=8192,
            input_usd="0.02",
            output_usd="0.08",
        ),
    )
}
"""By ID. All of them accept images."""
