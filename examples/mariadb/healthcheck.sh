#!/bin/sh
# Compose files for the official image call this, with options. Whoever would take a login is healthy.
exec preverb --health
