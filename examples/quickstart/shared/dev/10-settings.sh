# Sourced: its exports reach the target and later hooks.
export GREETING="hello from a hook, in $PREVERB_ENVIRONMENT"
