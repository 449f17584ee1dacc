#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Style and static analysis of everything in the checkout, as TAP. Names of
# checks as arguments run only those.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$SNAP_TOP"

STYLE_VERSION=14 # clang-format and clang-tidy differ from one to the next
all=(format tidy_tools tidy_engine shellcheck python checkpatch
    checkpatch_qemu sparse kernel_doc rooms length spdx man rst mutations
    probe)
logs=$SNAP_LOGS/check-static
mkdir -p "$logs"

# sources FIND-EXPRESSION...: files of the project, sorted.
sources() {
    find . \( -path ./build -o -path ./.git \) -prune -o \
        -type f \( "$@" \) -print | sed 's,^\./,,' | sort
}

# Files whose first line says that SHELL (an expression) runs them.
scripts() {
    local file line
    sources -perm -u+x -o -name '*.sh' | while read -r file; do
        IFS= read -r line <"$file" || true
        [[ ! $line =~ $1 ]] || echo "$file"
    done
}

cxx() {
    sources -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.bpf.c' \
        -o -path '*/include/snap/*' | grep -E '^(tools|qemu-device/engine|selftests)/' |
        while read -r file; do
            # C files of the selftests follow the kernel's style.
            [[ $file == selftests/*.h ]] &&
                ! compgen -G "$(dirname "$file")/*.cpp" >/dev/null && continue
            echo "$file"
        done
}

major() {
    "$1" --version | sed -n 's/.*version \([0-9]*\).*/\1/p' | head -n 1
}

# A test that cannot run here says why and returns 4.
skip() {
    echo "$*"
    return 4
}

check_format() {
    [[ $(major clang-format) == "$STYLE_VERSION" ]] ||
        skip "clang-format $STYLE_VERSION sets the style" || return
    cxx | xargs clang-format --dry-run -Werror
}

# Each translation unit is looked at again when it, a header or the rules
# have changed. Of the paths through a test most are GoogleTest's: there the
# analyzer does not follow calls, which takes a fifth of the time.
tidy_one() {
    local db=$1 file=$2 rules=$3 stamp word
    local -a how=()
    if [[ $file == */tests/* || $file == */bench/* ]]; then
        for word in -Xclang -analyzer-config -Xclang mode=shallow; do
            how+=("--extra-arg=$word")
        done
    fi
    stamp=$SNAP_CACHE/tidy/$({
        echo "$rules $file ${how[*]}"
        cat "$file"
    } | hash_of)
    [[ ! -e $stamp ]] || return 0
    clang-tidy --quiet -warnings-as-errors='*' "${how[@]}" -p "$db" "$file" \
        2>&1 || return
    touch "$stamp"
}
export -f tidy_one hash_of

tidy() {
    local db=$1 folder=$2 rules
    [[ $(major clang-tidy) == "$STYLE_VERSION" ]] ||
        skip "clang-tidy $STYLE_VERSION sets the rules" || return
    mkdir -p "$SNAP_CACHE/tidy"
    rules=$({
        clang-tidy --version
        cat .clang-tidy
        find "$folder" uapi -name '*.h' -o -name '*.hpp' | sort | xargs cat
    } | hash_of)
    find "$folder" -name '*.cpp' | sort | grep -Ff <(sed -n \
        's,.*"file": *"\([^"]*\)".*,\1,p' "$db/compile_commands.json" |
        xargs -n 1 basename) |
        xargs -P "$SNAP_JOBS" -I '{}' \
            bash -c 'tidy_one "$@"' _ "$db" '{}' "$rules"
}

check_tidy_tools() {
    make -s -C tools "$SNAP_BUILD/tools/compile_commands.json" || return
    tidy "$SNAP_BUILD/tools" tools
}

check_tidy_engine() {
    local db=$SNAP_BUILD/engine-tidy
    local -a all=(-Dtests=true -Dbench=true -Dfuzz=true)
    # The options of a tree that is there may differ: set them again.
    if [[ -e $db/build.ninja ]]; then
        meson configure "$db" "${all[@]}" >/dev/null || return
    else
        meson setup "$db" qemu-device/engine "${all[@]}" >/dev/null || return
    fi
    meson compile -C "$db" --ninja-args=-t,compdb >/dev/null 2>&1 || true
    ninja -C "$db" build.ninja >/dev/null || return
    tidy "$db" qemu-device/engine
}

check_shellcheck() {
    {
        scripts '^#!.*/(ba)?sh|busybox'
        sources -name '*.sh' -o -name '*.bash' # the ones that others read
    } | sort -u | xargs shellcheck -x --source-path=SCRIPTDIR
}

check_python() {
    local file
    {
        scripts '^#!.*python'
        sources -name '*.py' # the ones that others import
    } | sort -u | while read -r file; do
        /usr/bin/python3 -W error -c \
            'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' \
            "$file" || return
    done
}

check_checkpatch() {
    local -a rules=(perl "$SNAP_BUILD/kernel-source/scripts/checkpatch.pl"
        --no-tree --strict --terse --no-summary --quiet -f)
    sources -path './kmod/*.[ch]' -o -path './uapi/*.h' \
        -o -path './selftests/kmod-test/*.[ch]' | grep -v '^kmod/observe/trace\.h$' |
        xargs -n 1 "${rules[@]}" || return
    # TRACE_EVENT is written in its own way, in the kernel as well.
    "${rules[@]}" --ignore COMPLEX_MACRO,MACRO_ARG_REUSE \
        --ignore MACRO_ARG_PRECEDENCE,PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE \
        kmod/observe/trace.h
}

# QEMU's rules depend on where a file is in its tree.
check_checkpatch_qemu() {
    local tree view=$SNAP_BUILD/checkpatch-view
    tree=$("$here/fetch-qemu" | sed -n 's/^source=//p') || return
    mkdir -p "$view/hw" "$view/tests"
    ln -sfn "$SNAP_TOP/qemu-device/hw" "$view/hw/snap"
    ln -sfn "$SNAP_TOP/qemu-device/plugin" "$view/hw/plugin"
    ln -sfn "$SNAP_TOP/qemu-device/qtest" "$view/tests/qtest"
    cd "$view"
    find hw/*/ tests/*/ -name '*.[ch]' -print0 | xargs -0 -n 1 \
        perl "$tree/scripts/checkpatch.pl" --no-tree --terse --no-summary -q -f
}

check_sparse() {
    "$here/build-kmod" --check stock
}

check_kernel_doc() {
    local found
    found=$(sources -path './kmod/*.[ch]' | xargs -n 1 \
        "$SNAP_BUILD/kernel-source/scripts/kernel-doc" -none 2>&1)
    echo "$found"
    [[ -z $found ]]
}

# No folder of the module names one that stands above it.
check_rooms() {
    "$here/check-rooms"
}

check_length() {
    local found
    found=$(sources -size +0 | grep -Ev '^LICENSES/|results\.json$' | xargs wc -l |
        awk '$1 > 800 && $2 != "total" { print $2 " has " $1 " lines" }')
    echo "$found"
    [[ -z $found ]]
}

check_spdx() {
    local found
    found=$(sources -size +0 | grep -Ev '^LICENSES?(/|$)|\.(md|png)$|/licenses/|/debian/(copyright|source/format)$|^selftests/mutations/' |
        xargs grep -L 'SPDX-License-Identifier' || true)
    echo "$found"
    [[ -z $found ]]
}

check_man() {
    local file found
    found=$(sources -name '*.[1-9]' | while read -r file; do
        MANROFFSEQ='' MANWIDTH=80 LC_ALL=C.UTF-8 \
            man --warnings -E UTF-8 -l -Tutf8 -Z "$file" 2>&1 >/dev/null |
            sed "s,^,$file: ,"
    done)
    echo "$found"
    [[ -z $found ]]
}

check_rst() {
    local file bad=0
    while read -r file; do
        /usr/bin/python3 -m docutils --report=2 --halt=5 --exit-status=2 \
            "$file" /dev/null || bad=1
    done < <(sources -name '*.rst')
    return "$bad"
}

# The patches of check-mutations.sh, which runs less often, fit the sources.
check_mutations() {
    local file bad=0
    for file in selftests/mutations/*.patch; do
        patch -s -F0 --dry-run -p1 <"$file" || {
            echo "$file does not apply"
            bad=1
        }
    done
    return "$bad"
}

check_probe() {
    selftests/kmod-probe/probe-test.sh
}

passed=0 failed=0 skipped=0 number=0
(($#)) || set -- "${all[@]}"
"$here/kernel-source" >/dev/null
echo "TAP version 13"
echo "1..$#"
for name; do
    number=$((number + 1))
    start=$SECONDS
    status=0
    ("check_$name") >"$logs/$name.log" 2>&1 || status=$?
    took="# $((SECONDS - start)) s"
    case $status in
    0)
        passed=$((passed + 1))
        echo "ok $number $name $took"
        ;;
    4)
        skipped=$((skipped + 1))
        echo "ok $number $name # SKIP $(tail -n 1 "$logs/$name.log")"
        ;;
    *)
        failed=$((failed + 1))
        echo "not ok $number $name $took, see $logs/$name.log"
        head -n 15 "$logs/$name.log" | sed 's/^/# /'
        ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
