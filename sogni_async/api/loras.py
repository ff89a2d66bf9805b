"""LoRAs that the account has imported: `client.projects.personal_loras`."""

from __future__ import annotations

from sogni.core.catalogue import loras
from sogni.keywords import suggest_keywords
from sogni.models.loras import LoraCatalog, PersonalLora, PersonalLoraList
from sogni_async.transport.engine import Engine


@suggest_keywords
class PersonalLoras:
    """LoRAs that the account has imported from Hugging Face or Civitai. Importing and using them needs a plan."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(self) -> PersonalLoraList:
        """List the personal LoRAs of the account, even after its plan has lapsed.

        Returns:
            The LoRAs in `.loras`, whatever their status, the models that they can be imported for, and the limits of
            the account.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> [lora.name for lora in await client.projects.personal_loras.list()]
            []
        """
        return await self._engine.run(loras.personal_loras())

    async def get(self, id: str) -> PersonalLora:
        """Get a personal LoRA with the status of its import.

        Args:
            id: ID of the import, `PersonalLora.id`.

        Returns:
            The LoRA.

        Raises:
            NotFoundError: The account has no such LoRA.

        Example:
            >>> lora = await client.projects.personal_loras.add(
            ...     url="https://huggingface.co/ada/ink/resolve/main/ink.safetensors",
            ...     name="Ink",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     rights_confirmed=True,
            ... )
            >>> (await client.projects.personal_loras.get(lora.id)).name
            'Ink'
        """
        return await self._engine.run(loras.personal_lora(id))

    async def add(self, *, url: str, name: str, model_id: str, rights_confirmed: bool) -> PersonalLora:
        """Import a LoRA. Returns as soon as the import is queued; use `wait` to wait until it ends.

        Args:
            url: Public link to a safetensors file on Hugging Face, or to a model or version on Civitai.
            name: Name for display.
            model_id: ID of the model that the LoRA was made for.
            rights_confirmed: Must be True: you confirm that you may use the LoRA.

        Returns:
            The LoRA, with the status `"queued"`.

        Raises:
            ValidationError: An argument is invalid.
            PermissionDeniedError: The account has no plan.
            ApiError: The service refused the request, for example because a limit has been reached.

        Example:
            >>> lora = await client.projects.personal_loras.add(
            ...     url="https://huggingface.co/ada/ink/resolve/main/ink.safetensors",
            ...     name="Ink",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     rights_confirmed=True,
            ... )
            >>> lora.status
            'queued'
        """
        flow = loras.add_personal_lora(url=url, name=name, model_id=model_id, rights_confirmed=rights_confirmed)
        return await self._engine.run(flow)

    async def wait(self, id: str, timeout: float | None = None) -> PersonalLora:
        """Wait until an import has ended, successfully or not. Polls the service every 30 seconds, at first more often.

        Args:
            id: ID of the import, `PersonalLora.id`.
            timeout: Seconds to wait; None for no limit. The import continues after a timeout. A review may take days.

        Returns:
            The LoRA, whose `status` is `"ready"`, `"rejected"` or `"revoked"`; `reason` and `failure_code` explain why.

        Raises:
            NotFoundError: The account has no such LoRA.
            SogniTimeoutError: The import did not end in time.

        Example:
            >>> lora = await client.projects.personal_loras.add(
            ...     url="https://huggingface.co/ada/ink/resolve/main/ink.safetensors",
            ...     name="Ink",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     rights_confirmed=True,
            ... )
            >>> (await client.projects.personal_loras.wait(lora.id, timeout=60)).status
            'ready'
        """
        return await self._engine.run(loras.wait_for_personal_lora(id, timeout))

    async def remove(self, id: str) -> None:
        """Remove a personal LoRA, even after the plan has lapsed.

        Args:
            id: ID of the import, `PersonalLora.id`.

        Raises:
            NotFoundError: The account has no such LoRA.

        Example:
            >>> lora = await client.projects.personal_loras.add(
            ...     url="https://huggingface.co/ada/ink/resolve/main/ink.safetensors",
            ...     name="Ink",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     rights_confirmed=True,
            ... )
            >>> await client.projects.personal_loras.remove(lora.id)
        """
        await self._engine.run(loras.remove_personal_lora(id))

    async def catalog(self, model_id: str | None = None) -> LoraCatalog:
        """Get the personal LoRAs that projects can use, as entries of a catalog. They are fetched on every call.

        Args:
            model_id: Return only the LoRAs for this model. Default: all.

        Returns:
            The LoRAs. Pass their `lora_id` to projects.

        Raises:
            ValidationError: An argument is invalid.
            PermissionDeniedError: The account has no plan.
            ApiError: The service refused the request.

        Example:
            >>> catalog = await client.projects.personal_loras.catalog("krea2_turbo_fp8_scaled")
            >>> all(lora.lora_id.startswith("personal-") for lora in catalog)
            True
        """
        return await self._engine.run(loras.personal_catalogue(model_id))
