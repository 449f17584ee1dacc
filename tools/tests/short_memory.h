// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that runs out: operator new of this program, in one thread.
#ifndef SNAP_TESTS_SHORT_MEMORY_H
#define SNAP_TESTS_SHORT_MEMORY_H

namespace snaptest {

// While one exists, so many allocations of this thread succeed, and the next
// one throws std::bad_alloc.
class ShortMemory {
  public:
    explicit ShortMemory(int allocations) noexcept;
    ShortMemory(const ShortMemory &) = delete;
    ShortMemory &operator=(const ShortMemory &) = delete;
    ~ShortMemory();
};

} // namespace snaptest

#endif
