from django.db import models


class Note(models.Model):
    text = models.TextField()
    # Set by the worker.
    words = models.PositiveIntegerField(null=True, editable=False)

    def __str__(self):
        return self.text[:40]
