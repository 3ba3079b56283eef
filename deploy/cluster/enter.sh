#!/usr/bin/env bash
# enter.sh COMMAND...: runs it beside the control plane, where names and addresses of Services are reached.
. "$(dirname "$0")/env.sh"
inside control "$@"
