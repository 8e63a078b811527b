#!/bin/sh
# Compose files for the official image call this with options. A server that would accept a login is healthy.
exec preverb --health
