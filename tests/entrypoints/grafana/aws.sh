for profile in $GF_AWS_PROFILES; do
    eval "key=\$GF_AWS_${profile}_ACCESS_KEY_ID secret=\$GF_AWS_${profile}_SECRET_ACCESS_KEY region=\$GF_AWS_${profile}_REGION"
    [ -z "$key" ] || [ -z "$secret" ] || printf '[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n%b' \
        "$profile" "$key" "$secret" "${region:+region = $region\n}"
done >"$GF_PATHS_HOME/.aws/credentials" && chmod 600 "$GF_PATHS_HOME/.aws/credentials"
