# A command that prints the password, such as one of a vault.
_AIRFLOW_WWW_USER_PASSWORD=$(eval "$_AIRFLOW_WWW_USER_PASSWORD_CMD")
export _AIRFLOW_WWW_USER_PASSWORD
