# Sourced by preverb in dev: installs requirements-dev.txt into the user's site, which is on a volume
# there, so a new requirement needs no new image.
installed=$PYTHONUSERBASE/installed.txt

missing() {
    ! cat requirements.txt requirements-dev.txt | cmp -s - "$installed"
}

if missing; then
    # Server and worker start at the same time, on the same volume: one installs, the other waits.
    (
        flock 9
        if missing; then
            pip install --quiet --no-warn-script-location --user -r requirements-dev.txt
            cat requirements.txt requirements-dev.txt >"$installed"
        fi
    ) 9>"$PYTHONUSERBASE/.lock"
fi

export PATH="$PYTHONUSERBASE/bin:$PATH"
