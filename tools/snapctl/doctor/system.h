// SPDX-License-Identifier: LGPL-2.1-or-later
// What the doctor looks at: files, and what system calls answer.
#ifndef SNAPCTL_DOCTOR_SYSTEM_H
#define SNAPCTL_DOCTOR_SYSTEM_H

#include "files.h"

#include <snap/libsnap.h>

#include <optional>
#include <string>
#include <sys/stat.h>

namespace snapctl::doctor {

struct System {
    Files files{"/"};
    int open_error = 0;   // errno of snap_open(3), of its owner if not
    int socket_error = 0; // errno of socket(2)
    std::optional<snap_info> info;
    std::optional<snap_stats> stats;
    std::string user;    // of this process
    std::string group;   // that may open /dev/snap, "" if none
    std::string version; // of this program
    bool root = false;   // CAP_SYS_PTRACE and all
};

// The group whose members may open a file for reading and writing, "" if there
// is none.  Root's is none: to belong to it opens much else.
std::string opening_group(const struct stat &status);

// The machine that this program runs in.
System this_system();

} // namespace snapctl::doctor

#endif
