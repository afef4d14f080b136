from django.conf import settings


def release_header(get_response):
    """Every answer tells which release made it."""

    def middleware(request):
        response = get_response(request)
        response['X-Release'] = settings.RELEASE
        return response

    return middleware
