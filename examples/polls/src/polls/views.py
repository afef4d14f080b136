from django.conf import settings
from django.shortcuts import render

from polls.models import Question


def index(request):
    return render(request, 'polls/index.html', {'questions': Question.objects.all(), 'release': settings.RELEASE})
