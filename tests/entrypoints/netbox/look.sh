./manage.py migrate --check >/dev/null 2>&1 || export OUTDATED=1
