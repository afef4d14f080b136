from django.db import models


class Post(models.Model):
    id = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
    title = models.CharField(max_length=100)
    tags = models.ManyToManyField("blog.Tag")
    order = models.ForeignKey("shop.Order", null=True, on_delete=models.CASCADE)


class Tag(models.Model):
    id = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
    name = models.CharField(max_length=20)
