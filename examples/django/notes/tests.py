from django.test import TestCase

from .models import Note


class Index(TestCase):
    def test_a_note_that_is_posted_is_listed(self):
        answer = self.client.post("/", data="one two", content_type="text/plain", HTTP_HOST="localhost")
        self.assertEqual(answer.json()["notes"], [{"text": "one two", "words": None}])
        self.assertEqual(Note.objects.count(), 1)
