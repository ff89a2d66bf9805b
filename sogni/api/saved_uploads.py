# Generated from sogni_async/api/saved_uploads.py by tools/unasync.py. Do not edit.
"""Uploaded files that the service keeps for reuse: `client.projects.assets`."""

from __future__ import annotations

from sogni.core.projects import assets
from sogni.core.projects.saved_uploads import DEFAULT_NAME
from sogni.keywords import suggest_keywords
from sogni.models.params import MediaInput
from sogni.models.saved_uploads import SavedUpload, SavedUploadCapabilities, SavedUploadList
from sogni.transport.engine import Engine


@suggest_keywords
class SavedUploads:
    """Files that the service keeps for the account.

    `projects.create` saves and reuses the files of projects itself. Use these methods for other files. They need no
    socket.

    Example:
        >>> saved = client.projects.assets.upload(job)
        >>> [it.id == saved.id for it in client.projects.assets.list()]
        [True]
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def capabilities(self) -> SavedUploadCapabilities:
        """Check whether the service keeps files for this account. The result is cached for 60 seconds.

        Returns:
            The capabilities.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> client.projects.assets.capabilities().enabled
            True
        """
        return self._engine.run(assets.capabilities())

    def list(self) -> SavedUploadList:
        """List the saved files of the account, and how many it may have.

        Returns:
            The files and the limits.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> saved = client.projects.assets.list()
            >>> len(saved), saved.limits.file_bytes
            (0, 104857600)
        """
        return self._engine.run(assets.saved_uploads())

    def upload(self, media: MediaInput, *, name: str = DEFAULT_NAME) -> SavedUpload:
        """Save a file. It is uploaded only if the service does not have it yet.

        Args:
            media: A path, bytes, a binary file object, a PIL image or a finished job. 1 byte to 100 MiB of PNG, JPEG or
                WebP, of MP4, QuickTime or WebM video, or of MP4, MP3, FLAC or WAV audio.
            name: Name for display. Default: `"Saved upload"`.

        Returns:
            The record of the saved file.

        Raises:
            ValidationError: The file is of another type or size. Nothing has been sent.
            ConflictError: The account has no room for another file.
            ApiError: The service refused a request.

        Example:
            >>> saved = client.projects.assets.upload(job, name="A lighthouse")
            >>> saved.name, saved.content_type, saved.state
            ('A lighthouse', 'image/png', 'ready')
        """
        return self._engine.run(assets.save_upload(media, name))

    def bind(self, asset_id: str, *, project_id: str, type: str, id: str | None = None) -> None:
        """Make a saved file an input of a project, as if it had been uploaded for it.

        Args:
            asset_id: ID of the saved file.
            project_id: ID of the project, which need not exist yet.
            type: Role of the file, for example `"startingImage"` or `"referenceAudio"`.
            id: Role with its number, for example `"referenceAudio2"`, for models that take several audio or video
                files. Default: none.

        Raises:
            ValidationError: An argument is invalid. Nothing has been sent.
            NotFoundError: The saved file does not exist.
            ApiError: The service refused the request.

        Example:
            >>> saved = client.projects.assets.upload(job)
            >>> project_id = "0A0A0A0A-0000-4000-8000-000000000001"
            >>> client.projects.assets.bind(saved.id, project_id=project_id, type="startingImage")
        """
        self._engine.run(assets.bind_upload(asset_id, project_id=project_id, type=type, id=id))

    def remove(self, asset_id: str) -> None:
        """Delete a saved file. Projects that use it keep their copies.

        Args:
            asset_id: ID of the saved file.

        Raises:
            NotFoundError: The saved file does not exist.
            ApiError: The service refused the request.

        Example:
            >>> saved = client.projects.assets.upload(job)
            >>> client.projects.assets.remove(saved.id)
        """
        self._engine.run(assets.remove_upload(asset_id))
