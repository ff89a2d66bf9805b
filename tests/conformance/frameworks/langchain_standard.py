"""LangChain's standard tests of chat models, against the emulator. Started by `../frameworks.py`.

Nothing is skipped but what the service does not offer: each property that turns a test off says so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, load
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from sogni.contrib.langchain import ChatSogni
from sogni.emulator import LocalSupernet

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)


@pytest.fixture(scope="session")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as started:
        started.chat.reply(
            '{"setup": "What do cats read?", "punchline": "Mewspapers."}',
            when="Return nothing other than JSON",
            times=None,
        )
        yield started
        assert not started.violations


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatSogni]:
        return ChatSogni

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen3.6-35b-a3b-gguf-iq4xs"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"SOGNI_API_KEY": "from-the-environment"}, {}, {"api_key": "from-the-environment"}

    @pytest.mark.xfail(
        raises=ValueError,
        reason="langchain-core lists the classes that allowed_objects='all' allows: those of LangChain only",
    )
    def test_serdes(self, model: BaseChatModel, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)

    def test_serdes_of_an_allowed_class(self, model: BaseChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
        """What `test_serdes` compares, with the class named as LangChain's message says."""
        monkeypatch.setenv("SOGNI_API_KEY", "from-the-environment")
        written = dumpd(model)
        assert "test" not in str(written["kwargs"]["api_key"])
        loaded = load(written, valid_namespaces=["sogni"], allowed_objects=[ChatSogni], secrets_from_env=True)
        assert loaded.dict() == model.dict()
        assert loaded.api_key.get_secret_value() == "from-the-environment"


class Features:
    """What the service has, and what it has not."""

    has_tool_choice = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_tool_message = True
    supports_anthropic_inputs = True
    enable_vcr_tests = True  # nothing is recorded: the emulator answers
    supports_image_urls = False  # the service fetches images from its own storage only
    supports_pdf_inputs = False  # no language model of the service reads PDF files
    supports_pdf_tool_message = False
    supports_audio_inputs = False  # no language model of the service listens
    model_override_value = "qwen3-vl-8b-instruct-fp8"


class Integration(Features, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _service(self, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
        monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
        monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", supernet.socket_endpoint)
        # The images of the tests are on other hosts.
        monkeypatch.setattr(httpx, "get", lambda *_, **__: SimpleNamespace(content=PNG))

    @property
    def chat_model_class(self) -> type[ChatSogni]:
        return ChatSogni

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen3.6-35b-a3b-gguf-iq4xs"}

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        params = {**self.standard_chat_model_params, **self.chat_model_params, **getattr(request, "param", {})}
        with ChatSogni(**params) as model:
            yield model


class TestSchemas(Integration):
    """Structured output by a JSON schema, which is the default."""


class TestToolCalls(Integration):
    """Structured output by calls of a tool."""

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}


class TestThinking(Integration):
    """A model that reasons before each answer."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "think": True}
