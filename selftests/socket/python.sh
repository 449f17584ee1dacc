#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Python module; its tests, and the example of Documentation/python.rst.
#
# Machines: share-2
here=$(dirname "$(readlink -f "$0")")
top=$here/../..
export LD_LIBRARY_PATH=$here/../tools PYTHONPATH=$top/tools/python
export PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
exec /usr/bin/python3 -W error "$top/selftests/socket/python-test.py"
