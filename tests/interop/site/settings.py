"""A Django site with django-phone-verify and nothing else; it has no models of its own."""

import json
import os

# Fixed and worthless: both programs have to sign with the same key. PyJWT warns below 32 bytes.
SECRET_KEY = "a key for the interop tests and for nothing else"

INSTALLED_APPS = ["phone_verify", "rest_framework"]
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
TIME_ZONE = "UTC"

DATABASES = {"default": json.loads(os.environ["SITE_DATABASE"])}

# Without Django's own users, the REST framework must not look for them.
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None}

# Processes that a test starts get its settings along; in the test's own process they are overridden.
PHONE_VERIFICATION = json.loads(os.environ.get("SITE_PHONE_VERIFICATION", "{}"))
