// SPDX-License-Identifier: LGPL-2.1-or-later
#include "table.h"

#include <algorithm>
#include <stdexcept>

namespace kvstore {

namespace {

constexpr std::uint64_t magic = 0x31765f74746c6562; // a version of the layout
constexpr std::size_t page = 4096;

// Reads a field that another process may be changing.
std::uint64_t load(const std::uint64_t &field) {
    return __atomic_load_n(&field, __ATOMIC_ACQUIRE);
}

// No longer than its place, whatever the slot says.
template <std::size_t Room>
std::string_view text(const std::array<char, Room> &place, std::size_t bytes) {
    return {place.data(), std::min(bytes, Room)};
}

std::uint64_t checksum(std::string_view key, std::string_view value) {
    const std::uint64_t sum = hash(value, hash(key));
    return sum == 0 ? 1 : sum;
}

} // namespace

// FNV-1a
std::uint64_t hash(std::string_view text, std::uint64_t seed) {
    std::uint64_t sum = 0xcbf29ce484222325 ^ seed;
    for (const char c : text)
        sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return sum ^ sum >> 32;
}

Reader::Reader(std::span<const std::byte> memory) : memory_(memory) {
    if (memory.size() < sizeof(Header) || header().magic != magic ||
        header().length != memory.size() || header().shards == 0 ||
        header().shards > memory.size() / sizeof(Shard) - 1)
        throw std::runtime_error("this is no table");
    for (std::size_t i = 0; i < header().shards; i++) {
        const auto &part = shard(i);
        if (part.first % sizeof(Slot) != 0 || part.first > memory.size() ||
            part.slots == 0 ||
            part.slots > (memory.size() - part.first) / sizeof(Slot))
            throw std::runtime_error("a part of the table is out of it");
    }
}

const Header &Reader::header() const {
    return *reinterpret_cast<const Header *>(memory_.data());
}

const Shard &Reader::shard(std::size_t number) const {
    return reinterpret_cast<const Shard *>(memory_.data() +
                                           sizeof(Header))[number];
}

std::span<const Slot> Reader::slots_of(const Shard &shard) const {
    return {reinterpret_cast<const Slot *>(memory_.data() + shard.first),
            shard.slots};
}

std::uint64_t Reader::generation() const {
    return load(header().generation);
}

std::uint64_t Reader::slots() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < shards(); i++)
        sum += shard(i).slots;
    return sum;
}

std::size_t Reader::shard_of(std::string_view key) const {
    return hash(key) % shards();
}

const Slot *Reader::find(std::string_view key) const {
    const std::uint64_t sum = hash(key);
    const auto slots = slots_of(shard(sum % shards()));
    // the shard took the remainder: take what is left
    const std::size_t start = sum / shards() % slots.size();
    for (std::size_t i = 0; i < slots.size(); i++) {
        const Slot &slot = slots[(start + i) % slots.size()];
        if (slot.checksum == 0 || text(slot.key, slot.key_bytes) == key)
            return &slot;
    }
    return nullptr;
}

std::optional<std::string> Reader::get(std::string_view key) const {
    const Slot *slot = find(key);
    if (slot == nullptr || slot->checksum == 0)
        return std::nullopt;
    return std::string(text(slot->value, slot->value_bytes));
}

std::string Reader::fault_of(const Slot &slot) const {
    if (slot.key_bytes > slot.key.size() ||
        slot.value_bytes > slot.value.size())
        return "an entry is longer than its slot";
    const auto key = text(slot.key, slot.key_bytes);
    const auto value = text(slot.value, slot.value_bytes);
    if (checksum(key, value) != slot.checksum)
        return "an entry does not have its checksum";
    if (!key.starts_with("a:"))
        return {};
    const Slot *twin = find("b:" + std::string(key.substr(2)));
    if (twin == nullptr || twin->checksum == 0 ||
        text(twin->value, twin->value_bytes) != value)
        return "an entry differs from its twin";
    return {};
}

std::string Reader::fault_of(const Shard &shard) const {
    std::uint64_t sum = 0;
    std::uint64_t used = 0;
    for (const auto &slot : slots_of(shard)) {
        if (slot.checksum == 0)
            continue;
        used++;
        sum += slot.checksum;
        if (auto fault = fault_of(slot); !fault.empty())
            return fault;
    }
    if (used != shard.used || sum != shard.sum)
        return "a part does not have its sum";
    return {};
}

Verdict Reader::verify() const {
    Verdict verdict;
    for (std::size_t i = 0; i < shards() && verdict.good(); i++) {
        verdict.entries += shard(i).used;
        verdict.puts += shard(i).puts;
        verdict.fault = fault_of(shard(i));
    }
    return verdict;
}

Table Table::format(std::span<std::byte> memory, std::size_t shards) {
    const std::size_t parts = sizeof(Header) + shards * sizeof(Shard);
    const std::size_t first = (parts + page - 1) / page * page;
    const std::size_t slots =
        memory.size() < first
            ? 0
            : (memory.size() - first) / sizeof(Slot) / std::max(shards, 1UL);
    if (slots == 0)
        throw std::length_error("too little memory for a table");
    auto *header = reinterpret_cast<Header *>(memory.data());
    *header = {magic, memory.size(), shards, 0, {}};
    auto *part = reinterpret_cast<Shard *>(memory.data() + sizeof(Header));
    for (std::size_t i = 0; i < shards; i++)
        part[i] = {first + i * slots * sizeof(Slot), slots, 0, 0, 0, {}};
    return Table(memory);
}

// The same place, of memory that this object may write to.
template <typename Part>
Part &Table::writable(const Part &part) const {
    const auto *base = reinterpret_cast<const std::byte *>(&header());
    const auto offset = reinterpret_cast<const std::byte *>(&part) - base;
    return *reinterpret_cast<Part *>(memory_.data() + offset);
}

bool Table::put(std::string_view key, std::string_view value) {
    if (key.size() > sizeof(Slot::key) || value.size() > sizeof(Slot::value))
        throw std::length_error("key or value too long");
    const Slot *found = find(key);
    if (found == nullptr)
        return false;
    Slot &slot = writable(*found);
    Shard &part = writable(shard(shard_of(key)));
    part.puts++;
    part.used += slot.checksum == 0 ? 1 : 0;
    part.sum -= slot.checksum;
    slot.checksum = checksum(key, value);
    part.sum += slot.checksum;
    slot.key_bytes = static_cast<std::uint32_t>(key.size());
    slot.value_bytes = static_cast<std::uint32_t>(value.size());
    std::copy(key.begin(), key.end(), slot.key.begin());
    std::copy(value.begin(), value.end(), slot.value.begin());
    return true;
}

void Table::set_generation(std::uint64_t number) {
    writable(header()).generation = number;
}

} // namespace kvstore
