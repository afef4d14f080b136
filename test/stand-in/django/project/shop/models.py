from django.db import models


class Order(models.Model):
    id = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
    number = models.CharField(max_length=20)
    note = models.TextField(null=True)
