for name in $(env | sed -n 's/^\(GF_[^=]*\)__FILE=..*/\1/p'); do
    eval "given=\${$name:-} file=\$${name}__FILE"
    [ -z "$given" ] || { echo "$name and ${name}__FILE are both set" >&2 && exit 1; }
    export "$name=$(cat "$file")" && unset "${name}__FILE"
done
