from django.db import models


class Todo(models.Model):
    title = models.CharField(max_length=200)
    done = models.BooleanField(default=False)
    attachment = models.FileField(upload_to='attachments/', blank=True)
    due = models.DateField(null=True, blank=True)
    note = models.TextField(null=True, blank=True)
    priority = models.IntegerField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ['created', 'id']

    def __str__(self):
        return self.title
