// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-run: runs a program whose TCP and UDP sockets are AF_SNAP ones.
#include "counts.h"
#include "options.h"
#include "preload_list.h"
#include "program.h"
#include "supervise.h"

#include "../common/printable.h"

#include <snap/libsnap.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <unistd.h>

namespace {

// Returns only if it fails.
int execute(const std::string &path, char **argv) {
    ::execv(path.c_str(), argv);
    snaptool::complain("snap-run", path + ": " + std::strerror(errno));
    return snaprun::exit_unusable;
}

int run(const snaprun::Options &options) {
    const std::string path = snaprun::find_program(options.argv[0]);
    const std::string loader = snaprun::check_preload(path);
    if (options.heap != 0 && !loader.empty() && !snaprun::is_gnu(loader))
        snaptool::complain("snap-run", path + ": not of the GNU C library (" +
                                           loader + "): --heap has no effect");
    snaprun::preload("libsnap-run.so");
    if (options.heap != 0) {
        snaprun::preload("libsnap-run-heap.so");
        ::setenv(snaprun::heap_variable, std::to_string(options.heap).c_str(),
                 1);
    }
    if (options.aligned)
        ::setenv(snaprun::aligned_variable, "1", 1);
    const auto program = [&] { return execute(path, options.argv); };
    return options.count ? snaprun::supervise(program, options.output)
                         : program();
}

} // namespace

int main(int argc, char **argv) {
    try {
        const auto options = snaprun::parse(argc, argv);
        if (options.help) {
            std::fputs(snaprun::usage(), stdout);
            return snaprun::exit_ok;
        }
        if (options.version) {
            std::printf("snap-run %s\n", snap_version());
            return snaprun::exit_ok;
        }
        return run(options);
    } catch (const snaprun::UsageError &error) {
        snaptool::complain("snap-run", error.what());
        std::fputs("Try 'snap-run --help'.\n", stderr);
    } catch (const snaprun::ProgramError &error) {
        snaptool::complain("snap-run", error.what());
        return error.code();
    } catch (const std::exception &error) {
        snaptool::complain("snap-run", error.what());
    }
    return snaprun::exit_failed;
}
