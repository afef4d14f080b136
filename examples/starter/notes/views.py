from django.conf import settings
from django.http import HttpResponse

from notes.models import Note


def notes(request):
    text = f'Release {settings.RELEASE} with {Note.objects.count()} notes\n'
    return HttpResponse(text, content_type='text/plain', headers={'X-Release': settings.RELEASE})
