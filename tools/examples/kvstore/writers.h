// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads that put without end, and what their puts cost.
#ifndef KVSTORE_WRITERS_H
#define KVSTORE_WRITERS_H

#include "store.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <thread>

namespace kvstore {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

inline double us(nanoseconds time) {
    return static_cast<double>(time.count()) / 1e3;
}

// Names of twins, and what is put under them.
std::string name_of(std::uint64_t number);
std::string value_of(std::uint64_t number, std::uint64_t sequence);

class Writers {
  public:
    // They write to names 0 .. names - 1, which exist.
    Writers(Store &store, unsigned int threads, std::uint64_t names);
    Writers(const Writers &) = delete;
    Writers &operator=(const Writers &) = delete;
    ~Writers();

    struct Puts {
        std::uint64_t count = 0;
        nanoseconds longest{0};
    };
    // Since the last call, of all threads.
    Puts take();

  private:
    struct Thread {
        std::atomic<std::uint64_t> count = 0;
        std::atomic<std::int64_t> longest = 0; // ns
        std::thread thread;
    };
    void run(Thread &self, std::uint64_t seed, std::uint64_t names);

    Store &store_;
    std::atomic<bool> stop_ = false;
    std::list<Thread> threads_;
};

} // namespace kvstore

#endif
