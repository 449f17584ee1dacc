// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures the engine, and beside it what programs do without it. report.py
// reads the JSON that this writes, and names the rows.
#include "processors.hpp"

#include <benchmark/benchmark.h>

int main(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    snapmem_bench::use_first_processor();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
