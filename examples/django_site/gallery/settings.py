"""Settings for development. Without an API key in the environment, the images come from the emulator."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("GALLERY_DATA", BASE_DIR / "data"))
DATA_DIR.mkdir(exist_ok=True)

SECRET_KEY = os.environ.get("GALLERY_SECRET_KEY", "for development only")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "gallery.urls"
WSGI_APPLICATION = "gallery.wsgi.application"
USE_TZ = True

INSTALLED_APPS = ["sogni.contrib.django", "gallery"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "gallery.sqlite3",
        # Several processes write.
        "OPTIONS": {"timeout": 20},
    }
}
MEDIA_ROOT = DATA_DIR / "media"
MEDIA_URL = "/media/"
STATIC_URL = "/static/"

# Every process has an emulator of its own: with several, start `sogni emulator` and set the variables that it prints.
SOGNI = {"LOCAL": "SOGNI_API_KEY" not in os.environ, "MAX_COST": "5"}
