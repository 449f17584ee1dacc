#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Build and run the benchmarks of the engine, print ratios, draw merge and diff
# by changed pages. Usage: bench.sh [OPTION OF GOOGLE BENCHMARK]...
# Results: build/bench/engine.json, report.txt, changed.dat, changed.svg.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$here/../../.." && pwd)/build
tree=$build/engine-bench
out=$build/bench
log=$build/logs/engine-bench.log
mkdir -p "$out" "$build/logs"

build() {
    [[ -f $tree/build.ninja ]] || meson setup "$tree" "$here/.." --werror \
        -Dbench=true -Dbuildtype=release || return
    ninja -C "$tree" bench/snapmem-bench
}
if ! build >"$log" 2>&1; then
    tail -n 20 "$log"
    echo "bench.sh: the build failed, see $log" >&2
    exit 1
fi

echo "$(uname -sr), $(nproc) processors," \
    "vm.max_map_count $(cat /proc/sys/vm/max_map_count)"
# Repetitions are spread over the run, and the report takes the best of each:
# what else the machine does disturbs none for all of its time.
"$tree/bench/snapmem-bench" --benchmark_min_time=0.2 \
    --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true \
    --benchmark_out="$out/engine.json" --benchmark_out_format=json \
    "$@" >"$log" 2>&1 || {
    tail -n 20 "$log"
    echo "bench.sh: the run failed, see $log" >&2
    exit 1
}
python3 "$here/report.py" "$out/engine.json" "$out/changed.dat" |
    tee "$out/report.txt"
if command -v gnuplot >/dev/null; then
    gnuplot -e "data='$out/changed.dat'; picture='$out/changed.svg'" \
        "$here/plot.gp"
    echo "plot: $out/changed.svg"
else
    echo "plot: none, gnuplot is not installed"
fi
