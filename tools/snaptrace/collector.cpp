// SPDX-License-Identifier: LGPL-2.1-or-later
#include "collector.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

#include "snaptrace.skel.h"

namespace snaptrace {

namespace {

// The last thing that libbpf had to say: shown only if it was fatal.
std::string &last_words() {
    static std::string words;
    return words;
}

int remember(libbpf_print_level level, const char *format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    char line[512];
    const int n = std::vsnprintf(line, sizeof(line), format, arguments);
    last_words() = line;
    while (!last_words().empty() && last_words().back() == '\n')
        last_words().pop_back();
    return n;
}

bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

// What is easily said before the kernel says it in its way.
void look_around() {
    if (!exists("/sys/module/snap"))
        throw CollectorError(exit_absent, "the snap module is not loaded");
    if (!exists("/sys/kernel/btf/vmlinux"))
        throw CollectorError(exit_no_types, "this kernel has no type "
                                            "information (CONFIG_DEBUG_INFO_"
                                            "BTF)");
    if (!exists("/sys/kernel/btf/snap"))
        throw CollectorError(exit_no_types,
                             "the snap module was built without type "
                             "information (BTF)");
}

[[noreturn]] void fail(const char *what, int error) {
    if (error == EPERM)
        throw CollectorError(exit_denied, std::string(what) +
                                              ": not permitted; run as root");
    std::string text = std::string(what) + ": " + std::strerror(error);
    if (!last_words().empty())
        text += " (" + last_words() + ")";
    throw CollectorError(exit_failed, text);
}

} // namespace

void Collector::Destroy::operator()(snaptrace_bpf *program) const {
    snaptrace_bpf__destroy(program);
}

Collector::Collector(const Options &options) {
    look_around();
    libbpf_set_print(remember);
    program_.reset(snaptrace_bpf__open());
    if (!program_)
        fail("cannot open the program", errno);
    program_->rodata->only_pid = options.pid;
    program_->rodata->by_socket = options.by_socket;
    if (const int error = snaptrace_bpf__load(program_.get()))
        fail("cannot load the program", -error);
    if (const int error = snaptrace_bpf__attach(program_.get()))
        fail("cannot attach the program", -error);
}

Report Collector::read() const {
    const int map = bpf_map__fd(program_->maps.counts);
    Report report;
    Row row;
    const snaptrace_key *after = nullptr;
    while (bpf_map_get_next_key(map, after, &row.key) == 0) {
        if (bpf_map_lookup_elem(map, &row.key, &row.counts) == 0)
            report.rows.push_back(row);
        after = &row.key;
    }
    report.lost = program_->bss->lost;
    sort(report);
    return report;
}

} // namespace snaptrace
