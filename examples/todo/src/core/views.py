from django.conf import settings
from django.shortcuts import render

from core.models import Todo


def todos(request):
    return render(request, 'core/todos.html', {'todos': Todo.objects.all(), 'release': settings.RELEASE})
