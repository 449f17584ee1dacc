#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fuzz the C boundary of the engine with libFuzzer, under the address and
# undefined behaviour sanitizers. Usage: fuzz.sh [SECONDS], 60 by default; 0
# only runs the seeds. Inputs that reach new code are kept in
# build/fuzz/corpus, those that fail in build/fuzz/failing, which are run
# again first. `build/engine-fuzz/fuzz/snapmem-fuzz FILE` repeats one.
# The last line is "N passed, N failed, N skipped".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../../.." && pwd)
tree=$top/build/engine-fuzz
out=$top/build/fuzz
logs=$top/build/logs
seconds=${1:-60}
mkdir -p "$logs" "$out"/{seeds,corpus,failing}

sum() { # passed failed skipped
    echo "$1 passed, $2 failed, $3 skipped"
    exit $(($2 != 0))
}

if ! clang++ -fsanitize=fuzzer,address,undefined -x c++ - -o "$out/probe" \
    2>/dev/null <<<'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *,
        unsigned long) { return 0; }'; then
    echo "ok 1 fuzz # SKIP clang++ or its fuzzer runtime is not there"
    sum 0 0 1
fi

build() {
    [[ -f $tree/build.ninja ]] || CXX=clang++ meson setup "$tree" \
        "$here/.." --werror -Dfuzz=true -Ddebug=true -Doptimization=1 \
        -Db_sanitize=address,undefined -Db_lundef=false \
        -Dcpp_args=-fsanitize=fuzzer-no-link || return
    ninja -C "$tree" fuzz/snapmem-fuzz
}
if ! build >"$logs/fuzz-build.log" 2>&1; then
    tail -n 20 "$logs/fuzz-build.log"
    echo "not ok 1 build, see $logs/fuzz-build.log"
    sum 0 1 0
fi

rm -f "$out"/seeds/*
while read -r name bytes; do
    [[ -n $name && $name != \#* ]] || continue
    python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' \
        "$bytes" >"$out/seeds/$name"
done <"$here/seeds.txt"

# What a run says of itself: runs per second and the edges it has reached.
summary() { # log
    awk '/^stat::number_of_executed_units/ { runs = $2 }
        /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        END { printf "%d runs, %d edges\n", runs, edges }' "$1"
}

number=0 passed=0 failed=0
run() { # name arguments...
    local name=$1 log=$logs/fuzz-$1.log
    shift
    number=$((number + 1))
    if UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$tree/fuzz/snapmem-fuzz" -timeout=30 -rss_limit_mb=2048 \
        -artifact_prefix="$out/failing/" -print_final_stats=1 "$@" \
        >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok $number $name: $(summary "$log")"
    else
        failed=$((failed + 1))
        grep -E 'snapmem fuzz: |ERROR: |runtime error: |Test unit written' \
            "$log" | sed 's/^/# /' || true
        echo "not ok $number $name, see $log"
    fi
}

run replay -runs=0 "$out/seeds" "$out/failing"
if ((failed == 0 && seconds > 0)); then
    run fuzz -max_total_time="$seconds" -max_len=2048 "$out/corpus" \
        "$out/seeds"
fi
sum "$passed" "$failed" 0
