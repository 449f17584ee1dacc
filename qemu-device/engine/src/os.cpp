// SPDX-License-Identifier: LGPL-2.1-or-later
#include "os.hpp"

#include <cerrno>
#include <fstream>
#include <sys/mman.h>
#include <system_error>
#include <unistd.h>

// Since Linux 6.3; older kernels say EINVAL, older headers lack it.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace snapmem_impl {

void throw_errno(const char *what) {
    throw std::system_error(errno, std::generic_category(), what);
}

Fd::~Fd() {
    if (fd_ >= 0) {
        close(fd_);
    }
}

Fd make_memory_file(const char *name, std::uint64_t bytes) {
    Fd file(memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL));
    if (!file && errno == EINVAL) {
        file = Fd(memfd_create(name, MFD_CLOEXEC));
    }
    if (!file) {
        throw_errno("memfd_create");
    }
    if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
        throw_errno("ftruncate");
    }
    return file;
}

Mapping::Mapping(const Fd &file, std::uint64_t offset, std::size_t bytes)
    : bytes_(bytes) {
    void *p =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
             file.get(), static_cast<off_t>(offset));
    if (p == MAP_FAILED) {
        throw_errno("mmap");
    }
    data_ = static_cast<std::uint8_t *>(p);
}

Mapping::~Mapping() {
    munmap(data_, bytes_);
}

std::uint32_t mappings_max() {
    std::uint32_t n = 0;
    std::ifstream file("/proc/sys/vm/max_map_count");
    return file >> n ? n : 65530;
}

} // namespace snapmem_impl
