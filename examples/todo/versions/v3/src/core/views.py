def todos(request):
    raise RuntimeError('this release cannot answer')
