#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's part of the test edge: the backend of virtio0, and the way to it
# through the machine, by a router and by a bridge.
set -euo pipefail

ip route add 10.78.0.0/24 via 10.77.0.2
ip neigh add 10.77.0.9 lladdr 02:00:00:00:00:09 dev tap0
exec build/selftests/vhost_user_net "$SNAP_VHOST_USER" "$SNAP_VM_SHARE/vhost-user"
