from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('core', '0002_contact_phone')]

    operations = [
        migrations.AddField(
            model_name='contact', name='city', field=models.CharField(blank=True, max_length=100, null=True)
        ),
    ]
