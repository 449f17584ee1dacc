#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What kmod/compat/probe makes of what compilers say. TAP. They are made up: those
# of real kernels are asked whenever a module is built.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tools/tests/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Says what each word stands for, about the question that has that in it.
cat >"$work/compiler" <<'END'
#!/bin/bash
questions=$(cat)
status=0
for word in ${SAYS-}; do
    file=$(grep -B 1 "^typedef .*${word#*:}" <<<"$questions" |
        sed -n 's/^#line 1 "\(.*\)"/\1/p')
    status=1
    case $word in
    error:*) echo "$file:1:40: error: there is no such thing" ;;
    macro:*)
        echo "./include/linux/some.h:5:9: error: there is no such thing"
        echo "$file:1:30: note: in expansion of macro 'SOME'"
        ;;
    stray) echo "./include/linux/some.h:5:9: error: it makes no sense" ;;
    esac
done >&2
exit "$status"
END
chmod 755 "$work/compiler"

# probe WORD...: what it says, or how many things the kernel has.
probe() {
    rm -f "$work/probed.h"
    SAYS="$*" bash "$top/kmod/compat/probe" "$work/probed.h" "$work/compiler" \
        2>&1 >/dev/null | sed -n 's/^snap: //p'
    [[ ! -e $work/probed.h ]] || grep -c SNAP_HAVE_ "$work/probed.h"
}

end=error:snap_of_no_kernel
not_served="this kernel cannot be served:"
nothing="$not_served no module of it compiles, see above"
most=$(probe error:sk_uid "$end")

check "what is there" "$((most + 1))" "$(probe "$end")"
check "what is not there is not said to be" "" \
    "$(probe error:sk_uid "$end" >/dev/null; grep SK_UID "$work/probed.h")"
check "what the macro of a header lacks" "$most" \
    "$(probe macro:udplite_table "$end")"
check "needs" "$not_served it lacks CONFIG_INET, MSG_SPLICE_PAGES (Linux 6.5)" \
    "$(probe error:CONFIG_INET error:MSG_SPLICE_PAGES "$end")"
check "an error of a header" "$nothing" "$(probe stray "$end")"
check "the same between questions" "$nothing" \
    "$(probe error:sk_uid stray error:udplite_table "$end")"
check "a compiler that comes to no end" "$nothing" "$(probe error:sk_uid)"
check "nor says what it lacks" "$nothing" "$(probe error:CONFIG_INET)"
check "one that takes everything" \
    "$work/compiler compiles what makes no sense" "$(probe)"
end_of_tests
