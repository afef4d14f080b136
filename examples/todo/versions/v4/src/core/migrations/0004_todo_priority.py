from django.db import migrations, models


def give_priorities(apps, schema_editor):
    raise RuntimeError('no rule says which todo comes first')


class Migration(migrations.Migration):
    dependencies = [('core', '0003_todo_note')]

    operations = [
        migrations.AddField(model_name='todo', name='priority', field=models.IntegerField(blank=True, null=True)),
        migrations.RunPython(give_priorities, migrations.RunPython.noop),
    ]
