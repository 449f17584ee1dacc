// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Names for regions and snapshots.
#pragma once

#include <cstdint>
#include <vector>

namespace snapmem_impl {

// What every slot has. A slot is named by its index, its content by a handle,
// which carries the generation of the slot: a handle kept too long names
// nothing.
struct SlotBase {
    bool used = false;
    // Without a name: freeing it failed, a reset will try again.
    bool named = false;
    std::uint16_t generation = 1; // never 0, so no handle is 0
};

// T derives from SlotBase. tag is in the low half of every handle, above the
// indices.
template <typename T>
class SlotTable {
  public:
    SlotTable(std::uint32_t slots, std::uint32_t tag)
        : slots_(slots), tag_(tag) {
        for (std::uint32_t i = slots; i-- > 0;) {
            unused_.push_back(static_cast<std::uint16_t>(i));
        }
    }

    // The slot of a handle, an unused slot; nullptr if there is none.
    [[nodiscard]] T *find(std::uint32_t handle) {
        const std::uint32_t i = (handle & 0xffff) - tag_;
        if (i >= slots_.size()) {
            return nullptr;
        }
        T &t = slots_[i];
        return t.named && t.generation == handle >> 16 ? &t : nullptr;
    }
    [[nodiscard]] T *find_unused() {
        return unused_.empty() ? nullptr : &slots_[unused_.back()];
    }

    [[nodiscard]] std::uint32_t handle(const T &t) const {
        return std::uint32_t{t.generation} << 16 | (index(t) + tag_);
    }
    [[nodiscard]] std::uint16_t index(const T &t) const {
        return static_cast<std::uint16_t>(&t - slots_.data());
    }
    [[nodiscard]] T &at(std::uint16_t i) { return slots_[i]; }

    // Of find_unused().
    void name(T &t) {
        t.used = true;
        t.named = true;
        unused_.pop_back();
    }
    // Takes the name away; the slot stays in use until clear().
    static void retire(T &t) {
        t.named = false;
        if (++t.generation == 0) {
            t.generation = 1;
        }
    }
    void clear(T &t) {
        t.used = false;
        unused_.push_back(index(t)); // it has room: the slot was in it
    }
    [[nodiscard]] std::uint32_t used() const {
        return static_cast<std::uint32_t>(slots_.size() - unused_.size());
    }

    [[nodiscard]] auto begin() { return slots_.begin(); }
    [[nodiscard]] auto end() { return slots_.end(); }
    [[nodiscard]] auto begin() const { return slots_.begin(); }
    [[nodiscard]] auto end() const { return slots_.end(); }

  private:
    std::vector<T> slots_;
    std::uint32_t tag_;
    std::vector<std::uint16_t> unused_; // the last one is used first
};

} // namespace snapmem_impl
