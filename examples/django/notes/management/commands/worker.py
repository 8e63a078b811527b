import signal
from pathlib import Path
from threading import Event

from django.core.management.base import BaseCommand
from django.db import transaction

from notes.models import Note

HEARTBEAT = Path("/tmp/worker.heartbeat")


class Command(BaseCommand):
    help = "Counts the words of new notes until it is stopped"

    def handle(self, *args, **options):
        stop = Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        self.stdout.write("worker: ready")
        while not stop.is_set():
            HEARTBEAT.touch()
            if not self.count_one():
                stop.wait(0.5)
        self.stdout.write("worker: done")

    @transaction.atomic
    def count_one(self):
        """Takes one note that no other worker has taken; tells whether there was one."""
        note = Note.objects.select_for_update(skip_locked=True).filter(words=None).first()
        if note is None:
            return False
        note.words = len(note.text.split())
        note.save()
        self.stdout.write(f"worker: note {note.id} has {note.words} words")
        return True
