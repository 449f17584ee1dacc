// SPDX-License-Identifier: LGPL-2.1-or-later
#include "processors.hpp"

#include <sched.h>

namespace snapmem_bench {

namespace {

// Those that the program may use; asked for before any call changes them.
const cpu_set_t &allowed() {
    static const cpu_set_t set = [] {
        cpu_set_t s;
        CPU_ZERO(&s);
        sched_getaffinity(0, sizeof(s), &s);
        return s;
    }();
    return set;
}

void use(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

} // namespace

void use_first_processor() {
    int i = 0;
    while (!CPU_ISSET(i, &allowed())) {
        ++i;
    }
    use(i);
}

void use_last_processor() {
    int i = CPU_SETSIZE - 1;
    while (!CPU_ISSET(i, &allowed())) {
        --i;
    }
    use(i);
}

void use_all_processors() {
    sched_setaffinity(0, sizeof(cpu_set_t), &allowed());
}

} // namespace snapmem_bench
