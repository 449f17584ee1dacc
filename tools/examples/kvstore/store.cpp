// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store.h"

#include <algorithm>
#include <stdexcept>

namespace kvstore {

void Store::put_twins(const std::string &name, std::string_view value) {
    const std::string a = "a:" + name;
    const std::string b = "b:" + name;
    const auto [low, high] =
        std::minmax({table_.shard_of(a), table_.shard_of(b)});
    const std::lock_guard first(locks_.at(low));
    std::unique_lock<std::mutex> second;
    if (high != low)
        second = std::unique_lock(locks_.at(high));
    if (!table_.put(a, value) || !table_.put(b, value))
        throw std::runtime_error("the table is full");
}

} // namespace kvstore
