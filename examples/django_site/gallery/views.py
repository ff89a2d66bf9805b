"""The pages: the gallery with its form, and a project with its progress."""

from __future__ import annotations

import uuid

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from sogni.contrib.django import SogniProject
from sogni.errors import SogniError

MODEL = "krea2_turbo_fp8_scaled"


class ImageForm(forms.Form):
    """What a visitor asks for. The hidden key makes sure that a form that is sent twice is paid once."""

    prompt = forms.CharField(max_length=500, widget=forms.TextInput({"placeholder": "a lighthouse at dawn"}))
    number = forms.IntegerField(min_value=1, max_value=4, initial=2)
    key = forms.UUIDField(widget=forms.HiddenInput)


def gallery(request: HttpRequest) -> HttpResponse:
    """Show the finished projects, and start one."""
    form = ImageForm(request.POST or None, initial={"key": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            started = SogniProject.objects.start(
                type="image",
                model_id=MODEL,
                positive_prompt=wanted["prompt"],
                number_of_media=wanted["number"],
                idempotency_key=str(wanted["key"]),
            )
        except SogniError as error:
            form.add_error(None, str(error))
        else:
            return redirect("project", pk=started.pk)
    projects = SogniProject.objects.prefetch_related("results")[:30]
    return render(request, "gallery.html", {"form": form, "projects": projects}, status=400 if form.errors else 200)


def project(request: HttpRequest, pk: str) -> HttpResponse:
    """Show a project: its progress, then its results."""
    return render(request, "project.html", {"project": get_object_or_404(SogniProject, pk=pk)})
