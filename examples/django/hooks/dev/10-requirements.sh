# Sourced by preverb in dev: installs requirements-dev.txt into the user's site, which is on a volume
# there, so that a new requirement needs no new image.
site=$(python3 -m site --user-base)
mkdir -p "$site"

# Server and worker start at the same time, on the same volume.
(
    flock 9
    if ! cat requirements.txt requirements-dev.txt | cmp -s - "$site/installed.txt"; then
        pip install --quiet --no-warn-script-location --user -r requirements-dev.txt
        cat requirements.txt requirements-dev.txt >"$site/installed.txt"
    fi
) 9>"$site/.lock"

export PATH="$site/bin:$PATH"
