# Sourced: what it exports is the target's, and the later hooks'.
export GREETING="hello from a hook, in $PREVERB_ENVIRONMENT"
