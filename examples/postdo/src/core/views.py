from django.conf import settings
from django.shortcuts import render

from core.models import Contact


def contacts(request):
    return render(request, 'core/contacts.html', {'contacts': Contact.objects.all(), 'release': settings.RELEASE})
