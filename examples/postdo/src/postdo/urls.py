from django.contrib import admin
from django.urls import path

from core import views

urlpatterns = [
    path('', views.contacts, name='contacts'),
    path('admin/', admin.site.urls),
]
