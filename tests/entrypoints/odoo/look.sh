for parameter in db_host db_port db_user db_password; do
    ! grep -qE "^[[:space:]]*$parameter[[:space:]]*=" "$ODOO_RC" || export "HAS_$parameter=1"
done
[ "${2:-}" != scaffold ] || export HAS_NO_DATABASE=1
