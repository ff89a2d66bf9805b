"""The URLs of the site."""

from __future__ import annotations

from django.conf import settings
from django.urls import path, re_path
from django.views.static import serve

from gallery import views
from sogni.contrib.django import progress_stream

urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("projects/<uuid:pk>/", views.project, name="project"),
    # A site with accounts decides here who may see a project: login_required(progress_stream), or a view that checks.
    path("projects/<uuid:pk>/progress/", progress_stream, name="progress"),
    # A web server serves the files in production.
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]
