case ${2:-} in scheduler | celery) executor=$(airflow config get-value core executor) ;; *) executor= ;; esac
[ "$executor" != CeleryExecutor ] || export BROKER="$(airflow config get-value celery broker_url)"
