// SPDX-License-Identifier: GPL-2.0-or-later
//
// A plug-in of QEMU's TCG: how often each block of the guest's code was
// executed. Every second it writes what there is so far to COUNTS.0, COUNTS.1,
// ..., in lines of address (hexadecimal), instructions, times executed.
//
//   -plugin count.so,counts=COUNTS
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

extern "C" {
#include "qemu-plugin.h"
QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;
}

namespace {

using Block = std::pair<std::uint64_t, std::size_t>; // address, instructions

std::mutex lock; // guards the map; what is in it stays where it is
std::map<Block, std::atomic<std::uint64_t>> times;

void executed(unsigned, void *count) {
    static_cast<std::atomic<std::uint64_t> *>(count)->fetch_add(
        1, std::memory_order_relaxed);
}

void translated(qemu_plugin_id_t, qemu_plugin_tb *tb) {
    const Block block(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));
    const std::lock_guard guard(lock);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS,
                                         &times[block]);
}

void write_counts(const std::string &name) {
    // Whoever reads it finds it whole.
    const std::string part = name + ".part";
    std::FILE *file = std::fopen(part.c_str(), "w");
    if (file == nullptr) {
        return;
    }
    {
        const std::lock_guard guard(lock);
        for (const auto &[block, count] : times) {
            std::fprintf(file, "%" PRIx64 " %zu %" PRIu64 "\n", block.first,
                         block.second, count.load());
        }
    }
    std::fclose(file);
    std::rename(part.c_str(), name.c_str());
}

} // namespace

extern "C" QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                                      const qemu_info_t *,
                                                      int argc, char **argv) {
    const std::string option = argc == 1 ? argv[0] : "";
    if (option.rfind("counts=", 0) != 0) {
        std::fputs("count.so wants counts=FILE\n", stderr);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    std::thread([counts = option.substr(7)] {
        for (unsigned i = 0;; ++i) {
            std::this_thread::sleep_for(std::chrono::seconds(1));
            write_counts(counts + "." + std::to_string(i));
        }
    }).detach();
    return 0;
}
