"""The library's REST API, mounted as its documentation shows."""

from django.urls import include, path
from phone_verify.urls import urlpatterns as phone_verify_urls

urlpatterns = [path("api/", include(phone_verify_urls))]
