// SPDX-License-Identifier: LGPL-2.1-or-later
// A hash table of fixed layout.  All places in it are offsets from its start:
// it is the same in a region, in a snapshot mapped elsewhere and in a file.
#ifndef KVSTORE_TABLE_H
#define KVSTORE_TABLE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kvstore {

struct Slot {
    std::uint64_t checksum; // of key and value; 0: free
    std::uint32_t key_bytes;
    std::uint32_t value_bytes;
    std::array<char, 32> key;
    std::array<char, 208> value;
};
static_assert(sizeof(Slot) == 256);

// A part of the table: keys are spread over them by hash.
struct Shard {
    std::uint64_t first; // offset of its first slot
    std::uint64_t slots;
    std::uint64_t used;
    std::uint64_t sum; // of the checksums of its slots, modulo 2^64
    std::uint64_t puts;
    std::array<std::uint64_t, 3> unused;
};
static_assert(sizeof(Shard) == 64);

struct Header {
    std::uint64_t magic;
    std::uint64_t length; // bytes of everything
    std::uint64_t shards; // follow the header
    std::uint64_t generation;
    std::array<std::uint64_t, 4> unused;
};
static_assert(sizeof(Header) == 64);

// What verify() found: good if fault is empty.
struct Verdict {
    std::string fault;
    std::uint64_t entries = 0;
    std::uint64_t puts = 0;

    bool good() const { return fault.empty(); }
};

// Reads a table that may be anything: throws std::runtime_error if it cannot
// be one.
class Reader {
  public:
    explicit Reader(std::span<const std::byte> memory);

    std::optional<std::string> get(std::string_view key) const;

    // Goes through all of it.  A key "a:..." has a twin "b:..." with the same
    // value, whatever shards they are in.
    Verdict verify() const;

    // Whoever changes the table as a whole counts it here.
    std::uint64_t generation() const;

    std::uint64_t shards() const { return header().shards; }
    std::uint64_t slots() const;
    std::size_t shard_of(std::string_view key) const;

  protected:
    const Header &header() const;
    const Shard &shard(std::size_t number) const;
    std::span<const Slot> slots_of(const Shard &shard) const;
    // The slot of a key, or the free one where it goes; nullptr: full.
    const Slot *find(std::string_view key) const;

  private:
    std::string fault_of(const Shard &shard) const;
    std::string fault_of(const Slot &slot) const;

    std::span<const std::byte> memory_;
};

// Writes one, too.  Not thread-safe: see store.h.
class Table : public Reader {
  public:
    // memory: at least 64 KiB, aligned to 64 bytes, zeros.
    static Table format(std::span<std::byte> memory, std::size_t shards);
    explicit Table(std::span<std::byte> memory)
        : Reader(memory), memory_(memory) {}

    // False if there is no room.  Throws std::length_error.
    bool put(std::string_view key, std::string_view value);
    void set_generation(std::uint64_t number);

  private:
    template <typename Part>
    Part &writable(const Part &part) const;

    std::span<std::byte> memory_;
};

std::uint64_t hash(std::string_view text, std::uint64_t seed = 0);

} // namespace kvstore

#endif
