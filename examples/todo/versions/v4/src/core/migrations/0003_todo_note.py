from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('core', '0002_todo_due')]

    operations = [
        migrations.AddField(model_name='todo', name='note', field=models.TextField(blank=True, null=True)),
    ]
