from django.db import models


class Post(models.Model):
    title = models.CharField(max_length=100)
    tags = models.ManyToManyField("blog.Tag")
    order = models.ForeignKey("shop.Order", null=True, on_delete=models.CASCADE)


class Tag(models.Model):
    name = models.CharField(max_length=20)
