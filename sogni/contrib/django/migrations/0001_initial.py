"""The tables of projects and their results."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import sogni.contrib.django.models
from sogni.contrib.django import bases


class Migration(bases.Migration):
    """Create the tables."""

    initial: bool = True
    dependencies: ClassVar[list[Any]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="SogniProject",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("project_id", models.CharField(editable=False, max_length=100, null=True, unique=True)),
                ("idempotency_key", models.CharField(editable=False, max_length=255, null=True, unique=True)),
                ("type", models.CharField(max_length=20)),
                ("model_id", models.CharField(max_length=200)),
                ("prompt", models.TextField(blank=True)),
                ("params", models.JSONField(default=dict)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("queued", "queued"),
                            ("processing", "processing"),
                            ("completed", "completed"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                        ],
                        db_index=True,
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("progress", models.PositiveSmallIntegerField(default=0)),
                ("queue_position", models.IntegerField(null=True)),
                ("cost", models.DecimalField(decimal_places=12, max_digits=30, null=True)),
                ("token_type", models.CharField(blank=True, max_length=20)),
                ("error", models.TextField(blank=True)),
                ("error_code", models.CharField(blank=True, max_length=100)),
                ("failed_jobs", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("followed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("finished_at", models.DateTimeField(editable=False, null=True)),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="SogniResult",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("job_id", models.CharField(max_length=100)),
                ("index", models.PositiveSmallIntegerField()),
                ("kind", models.CharField(max_length=20)),
                ("seed", models.BigIntegerField(null=True)),
                (
                    "file",
                    models.FileField(
                        max_length=255,
                        storage=sogni.contrib.django.models.result_storage,
                        upload_to=sogni.contrib.django.models.result_path,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="results", to="sogni.sogniproject"
                    ),
                ),
            ],
            options={
                "ordering": ["index"],
                "constraints": [models.UniqueConstraint(fields=("project", "job_id"), name="sogni_result_job")],
            },
        ),
    ]
