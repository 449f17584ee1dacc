// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded with --heap: files whose file system pins the memory that is read
// or written, or that are open with O_DIRECT, answer EFAULT for memory in a
// region, before anything else is done; there are kernels whose netfs makes EIO
// of it, or a write of nothing.  Such calls are made again with ordinary
// memory. Streams have it from the beginning: a write of nothing they repeat
// for ever.
#include "next.h"
#include "own_heap.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

constexpr std::size_t page_bytes = 4096;

enum class Direction { in, out }; // as the program sees it

// A vector and a stream's call are for both directions.
void *changeable(const void *memory) noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
    return const_cast<void *>(memory);
}

// All of it, so that a wrong address is not ours to touch.  A child that was
// made behind the back of the C library has nothing mapped there.
bool in_region(const void *memory, std::size_t length) noexcept {
    if (length == 0 || !snaprun::in_region(memory) ||
        !snaprun::in_region(static_cast<const char *>(memory) + length - 1))
        return false;
    const std::size_t before =
        reinterpret_cast<std::uintptr_t>(memory) % page_bytes;
    auto *const page = static_cast<char *>(changeable(memory)) - before;
    return ::msync(page, before + length, MS_ASYNC) == 0;
}

// The program's vector, of which the kernel said that something in it, or the
// vector, is no memory: false if it is the latter.
bool copy(iovec *to, std::span<const iovec> program) noexcept {
    const iovec local{to, program.size_bytes()};
    const iovec remote{changeable(program.data()), program.size_bytes()};
    return ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1, &remote, 1,
                     0) == static_cast<long>(program.size_bytes());
}

// Memory of the kernel, and errno as it was.
struct Pages {
    Pages() = default;
    Pages(const Pages &) = delete;
    Pages &operator=(const Pages &) = delete;
    ~Pages() {
        const int saved = errno;
        if (start != nullptr)
            ::munmap(start, length);
        errno = saved;
    }

    bool map(std::size_t bytes) noexcept {
        void *const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return false;
        start = memory;
        length = bytes;
        return true;
    }

    void *start = nullptr;
    std::size_t length = 0;
};

// Ordinary memory in place of what a vector has in the region; the others stay.
// What is aligned for O_DIRECT stays so.
class Bounce {
  public:
    Bounce(std::span<const iovec> program) noexcept {
        if (program.empty() || !vectors_.map(2 * program.size_bytes()) ||
            !copy(parts(), program))
            return;
        program_ = {parts() + program.size(), program.size()};
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < program_.size(); i++) {
            program_[i] = parts()[i];
            if (in_region(program_[i].iov_base, program_[i].iov_len))
                bytes += room_of(program_[i]);
        }
        if (bytes == 0 || !memory_.map(bytes))
            return;
        char *free = static_cast<char *>(memory_.start);
        for (std::size_t i = 0; i < program_.size(); i++) {
            if (!in_region(program_[i].iov_base, program_[i].iov_len))
                continue;
            parts()[i].iov_base = free + offset(program_[i]);
            free += room_of(program_[i]);
        }
    }

    explicit operator bool() const noexcept { return memory_.start != nullptr; }
    iovec *parts() const noexcept {
        return static_cast<iovec *>(vectors_.start);
    }

    void fill() const noexcept {
        for (std::size_t i = 0; i < program_.size(); i++)
            if (parts()[i].iov_base != program_[i].iov_base)
                std::memcpy(parts()[i].iov_base, program_[i].iov_base,
                            program_[i].iov_len);
    }

    // The first so many bytes, which were read.
    void give(std::size_t bytes) const noexcept {
        for (std::size_t i = 0; i < program_.size() && bytes != 0; i++) {
            const std::size_t length =
                bytes < program_[i].iov_len ? bytes : program_[i].iov_len;
            if (parts()[i].iov_base != program_[i].iov_base)
                std::memcpy(program_[i].iov_base, parts()[i].iov_base, length);
            bytes -= length;
        }
    }

  private:
    static constexpr std::size_t whole(std::size_t bytes) noexcept {
        return (bytes + page_bytes - 1) / page_bytes * page_bytes;
    }
    static std::size_t offset(const iovec &part) noexcept {
        return reinterpret_cast<std::uintptr_t>(part.iov_base) % page_bytes;
    }
    static std::size_t room_of(const iovec &part) noexcept {
        return whole(offset(part) + part.iov_len);
    }

    Pages vectors_; // as it is made, and as it was
    Pages memory_;
    std::span<iovec> program_;
};

// Has nothing been done because memory could not be pinned?  More calls look
// so: to make one again that has done nothing does no harm.
bool refused(Direction direction, std::span<const iovec> program,
             ssize_t result) noexcept {
    if (result < 0)
        return errno == EFAULT || errno == EIO;
    if (result > 0 || direction == Direction::in)
        return false;
    return std::any_of(program.begin(), program.end(),
                       [](const iovec &part) { return part.iov_len != 0; });
}

// call(parts) makes the system call.
template <typename Call>
ssize_t transfer(Direction direction, std::span<const iovec> program,
                 Call call) noexcept {
    const int before = errno;
    const ssize_t first = call(program.data());
    if (snaprun::heap == nullptr || !refused(direction, program, first))
        return first;
    const int why = errno;
    const Bounce bounce(program);
    if (!bounce) {
        errno = why;
        return first;
    }
    if (direction == Direction::out)
        bounce.fill();
    errno = before;
    const ssize_t done = call(bounce.parts());
    if (done > 0 && direction == Direction::in)
        bounce.give(static_cast<std::size_t>(done));
    return done;
}

constexpr std::size_t vector_max = 1024; // IOV_MAX: more is EINVAL

std::span<const iovec> vector(const iovec *parts, int count) noexcept {
    const bool valid =
        count > 0 && static_cast<std::size_t>(count) <= vector_max;
    return {parts, valid ? static_cast<std::size_t>(count) : 0};
}

// A stream's call, with ordinary memory.
template <typename Call>
std::size_t stream(Direction direction, char *memory, std::size_t bytes,
                   Call call) noexcept {
    std::array<char, 16384> small; // NOLINT(*-member-init): what is used is set
    Pages large;
    char *ordinary = small.data();
    if (bytes > small.size()) {
        if (!large.map(bytes))
            return call(memory, bytes);
        ordinary = static_cast<char *>(large.start);
    }
    if (direction == Direction::out)
        std::memcpy(ordinary, memory, bytes);
    const std::size_t done = call(ordinary, bytes);
    if (direction == Direction::in)
        std::memcpy(memory, ordinary, done);
    return done;
}

} // namespace

// NOLINTBEGIN(bugprone-macro-parentheses, cppcoreguidelines-macro-usage)
// NOLINTBEGIN(bugprone-reserved-identifier)
#define SNAP_RUN_EXPORT extern "C" __attribute__((visibility("default")))

// read(2) and its like; arguments: those behind the buffer's length.
#define ONE(NAME, DIRECTION, BUFFER, PARAMETERS, ARGUMENTS)                    \
    SNAP_RUN_NEXT(NAME, ssize_t PARAMETERS)                                    \
    SNAP_RUN_EXPORT ssize_t NAME PARAMETERS {                                  \
        auto *const call = next_##NAME.get();                                  \
        const iovec part{changeable(program), length};                         \
        return transfer(Direction::DIRECTION, {&part, 1},                      \
                        [&](const iovec *parts) {                              \
                            BUFFER buffer = parts->iov_base;                   \
                            return call ARGUMENTS;                             \
                        });                                                    \
    }

ONE(read, in, void *, (int fd, void *program, size_t length),
    (fd, buffer, length))
ONE(write, out, const void *, (int fd, const void *program, size_t length),
    (fd, buffer, length))
ONE(pread, in, void *, (int fd, void *program, size_t length, off_t at),
    (fd, buffer, length, at))
ONE(pread64, in, void *, (int fd, void *program, size_t length, off_t at),
    (fd, buffer, length, at))
ONE(pwrite, out, const void *,
    (int fd, const void *program, size_t length, off_t at),
    (fd, buffer, length, at))
ONE(pwrite64, out, const void *,
    (int fd, const void *program, size_t length, off_t at),
    (fd, buffer, length, at))
// What compilers make of them with _FORTIFY_SOURCE.
ONE(__read_chk, in, void *, (int fd, void *program, size_t length, size_t room),
    (fd, buffer, length, room))
ONE(__pread_chk, in, void *,
    (int fd, void *program, size_t length, off_t at, size_t room),
    (fd, buffer, length, at, room))
ONE(__pread64_chk, in, void *,
    (int fd, void *program, size_t length, off_t at, size_t room),
    (fd, buffer, length, at, room))

#define MANY(NAME, DIRECTION, PARAMETERS, ARGUMENTS)                           \
    SNAP_RUN_NEXT(NAME, ssize_t PARAMETERS)                                    \
    SNAP_RUN_EXPORT ssize_t NAME PARAMETERS {                                  \
        auto *const call = next_##NAME.get();                                  \
        return transfer(Direction::DIRECTION, vector(program, count),          \
                        [&](const iovec *parts) { return call ARGUMENTS; });   \
    }

MANY(readv, in, (int fd, const iovec *program, int count), (fd, parts, count))
MANY(writev, out, (int fd, const iovec *program, int count), (fd, parts, count))
MANY(preadv, in, (int fd, const iovec *program, int count, off_t at),
     (fd, parts, count, at))
MANY(preadv64, in, (int fd, const iovec *program, int count, off_t at),
     (fd, parts, count, at))
MANY(pwritev, out, (int fd, const iovec *program, int count, off_t at),
     (fd, parts, count, at))
MANY(pwritev64, out, (int fd, const iovec *program, int count, off_t at),
     (fd, parts, count, at))
MANY(preadv2, in, (int fd, const iovec *program, int count, off_t at, int how),
     (fd, parts, count, at, how))
MANY(preadv64v2, in,
     (int fd, const iovec *program, int count, off_t at, int how),
     (fd, parts, count, at, how))
MANY(pwritev2, out,
     (int fd, const iovec *program, int count, off_t at, int how),
     (fd, parts, count, at, how))
MANY(pwritev64v2, out,
     (int fd, const iovec *program, int count, off_t at, int how),
     (fd, parts, count, at, how))

// Streams make their system calls by themselves.  Of memory in a region they
// count bytes, so that it is known what they did.  It is all in the region, or
// the program's mistake.
#define STREAM(NAME, DIRECTION, POINTER)                                       \
    SNAP_RUN_NEXT(NAME, size_t(POINTER, size_t, size_t, FILE *))               \
    SNAP_RUN_EXPORT size_t NAME(POINTER program, size_t size, size_t count,    \
                                FILE *file) {                                  \
        auto *const call = next_##NAME.get();                                  \
        size_t bytes = 0;                                                      \
        if (!snaprun::in_region(program) ||                                    \
            __builtin_mul_overflow(size, count, &bytes) || bytes == 0)         \
            return call(program, size, count, file);                           \
        return stream(Direction::DIRECTION,                                    \
                      static_cast<char *>(changeable(program)), bytes,         \
                      [&](char *memory, size_t length) {                       \
                          return call(memory, 1, length, file);                \
                      }) /                                                     \
               size;                                                           \
    }

STREAM(fread, in, void *)
STREAM(fread_unlocked, in, void *)
STREAM(fwrite, out, const void *)
STREAM(fwrite_unlocked, out, const void *)
// NOLINTEND(bugprone-reserved-identifier)
// NOLINTEND(bugprone-macro-parentheses, cppcoreguidelines-macro-usage)
