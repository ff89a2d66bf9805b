"""The Django app."""

from __future__ import annotations

from django.core import checks

from sogni.contrib.django.bases import AppConfig


class SogniConfig(AppConfig):
    """Registers the system check of the settings."""

    name: str = "sogni.contrib.django"
    label: str = "sogni"
    verbose_name: str = "Sogni"
    default_auto_field: str = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the check, and notice settings that tests override."""
        from django.core.signals import setting_changed

        from sogni.contrib.django import clients, conf

        checks.register(conf.check_settings)
        setting_changed.connect(clients.on_setting_changed, dispatch_uid="sogni.clients")
