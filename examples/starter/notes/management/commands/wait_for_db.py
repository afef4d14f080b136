import time

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection


class Command(BaseCommand):
    help = 'Waits until the database accepts connections.'

    def add_arguments(self, parser):
        parser.add_argument('--timeout', type=float, default=60, help='seconds (default: 60)')

    def handle(self, *args, **options):
        deadline = time.monotonic() + options['timeout']
        while True:
            try:
                connection.ensure_connection()
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f'the database is not there after {options["timeout"]:g} s: {error}') from error
                time.sleep(0.5)
            else:
                connection.close()
                self.stdout.write('The database is there.')
                return
