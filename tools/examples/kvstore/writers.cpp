// SPDX-License-Identifier: LGPL-2.1-or-later
#include "writers.h"

#include <algorithm>
#include <random>

namespace kvstore {

std::string name_of(std::uint64_t number) {
    return "name-" + std::to_string(number);
}

std::string value_of(std::uint64_t number, std::uint64_t sequence) {
    std::string value =
        "value " + std::to_string(sequence) + " of " + std::to_string(number);
    value.resize(100, '.');
    return value;
}

Writers::Writers(Store &store, unsigned int threads, std::uint64_t names)
    : store_(store) {
    for (unsigned int i = 0; i < threads; i++) {
        auto &self = threads_.emplace_back();
        self.thread =
            std::thread([this, &self, i, names] { run(self, i, names); });
    }
}

Writers::~Writers() {
    stop_ = true;
    for (auto &self : threads_)
        self.thread.join();
}

void Writers::run(Thread &self, std::uint64_t seed, std::uint64_t names) {
    std::mt19937_64 random(seed);
    for (std::uint64_t sequence = 1; !stop_; sequence++) {
        const std::uint64_t number = random() % names;
        const std::string name = name_of(number);
        const std::string value = value_of(number, sequence);
        const auto start = Clock::now();
        store_.put_twins(name, value);
        const auto took = nanoseconds(Clock::now() - start).count();
        self.count.fetch_add(1, std::memory_order_relaxed);
        // take() may set it to 0 in between: then this put is lost or counted
        // once too often, which is as well.
        if (took > self.longest.load(std::memory_order_relaxed))
            self.longest.store(took, std::memory_order_relaxed);
    }
}

Writers::Puts Writers::take() {
    Puts sum;
    for (auto &self : threads_) {
        sum.count += self.count.exchange(0, std::memory_order_relaxed);
        sum.longest = std::max(sum.longest, nanoseconds(self.longest.exchange(
                                                0, std::memory_order_relaxed)));
    }
    return sum;
}

} // namespace kvstore
