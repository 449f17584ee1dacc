// SPDX-License-Identifier: LGPL-2.1-or-later
#include "os.hpp"

#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

namespace snapmem_impl {
namespace {

TEST(MemoryFile, CannotBecomeExecutable) {
    utsname name{};
    int major = 0;
    int minor = 0;
    ASSERT_EQ(uname(&name), 0);
    ASSERT_EQ(std::sscanf(name.release, "%d.%d", &major, &minor), 2);
    if (major < 6 || (major == 6 && minor < 3)) {
        GTEST_SKIP() << "the kernel has no MFD_NOEXEC_SEAL";
    }
    const Fd file = make_memory_file("test", 4096);
    struct stat s {};
    ASSERT_EQ(fstat(file.get(), &s), 0);
    EXPECT_EQ(s.st_mode & 0111, 0U);
    EXPECT_NE(fchmod(file.get(), 0700), 0);
}

TEST(MemoryFile, GoesWithExec) {
    const Fd file = make_memory_file("test", 4096);
    EXPECT_EQ(fcntl(file.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

} // namespace
} // namespace snapmem_impl
