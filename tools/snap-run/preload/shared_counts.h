// SPDX-License-Identifier: LGPL-2.1-or-later
// The counts of the run, mapped.
#ifndef SNAP_RUN_SHARED_COUNTS_H
#define SNAP_RUN_SHARED_COUNTS_H

#include "../counts.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace snaprun {

// Null if nobody counts.  Allocates nothing and keeps errno.
inline Counts *shared_counts() noexcept {
    const int saved = errno;
    void *memory = MAP_FAILED;
    const char *const path = ::secure_getenv(counts_variable);
    const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        struct stat file {};
        if (::fstat(fd, &file) == 0 && file.st_size == sizeof(Counts))
            memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE,
                            MAP_SHARED, fd, 0);
        ::close(fd);
    }
    errno = saved;
    return memory == MAP_FAILED ? nullptr : static_cast<Counts *>(memory);
}

} // namespace snaprun

#endif
