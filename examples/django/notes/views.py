from django.conf import settings
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .models import Note


@csrf_exempt
def index(request):
    """GET lists the notes; POST adds one, its text the body."""
    if request.method == "POST":
        Note.objects.create(text=request.body.decode())
    notes = list(Note.objects.order_by("id").values("text", "words"))
    return JsonResponse({"environment": settings.ENVIRONMENT, "notes": notes})


def healthz(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")
