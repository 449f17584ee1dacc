// SPDX-License-Identifier: LGPL-2.1-or-later
// A table that several threads of one process write to.
#ifndef KVSTORE_STORE_H
#define KVSTORE_STORE_H

#include "table.h"

#include <mutex>
#include <vector>

namespace kvstore {

// The locks are outside of the table: a snapshot or a child of fork(2) finds
// none of them taken.
class Store {
  public:
    explicit Store(Table table) : table_(table), locks_(table.shards()) {}

    // Puts "a:name" and "b:name", both or, with a fault, neither: nobody sees
    // one without the other.
    void put_twins(const std::string &name, std::string_view value);

    // Runs `action` while no put is half done.
    template <typename Action>
    void between_puts(Action action) {
        std::vector<std::unique_lock<std::mutex>> held;
        for (auto &lock : locks_)
            held.emplace_back(lock);
        action();
    }

  private:
    Table table_;
    std::vector<std::mutex> locks_; // one for each shard, taken in order
};

} // namespace kvstore

#endif
