# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shared by tests that are scripts: results as TAP. The script ends with
# end_of_tests, whose status is that of all of them.

number=0
failures=0

# check NAME EXPECTED ACTUAL
check() {
    number=$((number + 1))
    if [[ $2 == "$3" ]]; then
        echo "ok $number $1"
    else
        echo "not ok $number $1"
        echo "# expected '$2', got '$3'" | sed '2,$s/^/# /'
        failures=$((failures + 1))
    fi
}

end_of_tests() {
    echo "1..$number"
    ((failures == 0))
}
