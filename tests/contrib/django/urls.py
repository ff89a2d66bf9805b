"""The URLs of the tests."""

from __future__ import annotations

from django.urls import path

from sogni.contrib.django import progress_stream

urlpatterns = [path("progress/<uuid:pk>/", progress_stream)]
