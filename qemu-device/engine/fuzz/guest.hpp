// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A guest that uses every function of the C boundary, well and badly, beside
// a model that copies everything.
#pragma once

#include "reader.hpp"

#include "snapmem/snapmem.h"

#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace snapmem_fuzz {

inline constexpr std::size_t page_bytes = SNAPMEM_FRAME_BYTES;

using Bytes = std::vector<std::uint8_t>;

// Ends the process with a message unless ok.
void require(bool ok, const char *what);

// The order of the others changes.
template <typename T>
T cut(std::vector<T> &v, std::size_t i) {
    std::swap(v[i], v.back());
    T t = std::move(v.back());
    v.pop_back();
    return t;
}

// One hold on a frame, and what the frame must hold as long as it exists.
struct Hold {
    std::uint32_t frame;
    Bytes bytes;
};

struct Region {
    std::uint32_t handle = 0;
    std::uint32_t page = 0; // of the window
    std::uint32_t owner = 0;
    std::uint64_t version = 0;
    // Has surely been stored to since the version. False: it may have been.
    bool dirty = false;
    Bytes bytes;

    [[nodiscard]] std::uint32_t npages() const {
        return static_cast<std::uint32_t>(bytes.size() / page_bytes);
    }
};

struct Snapshot {
    std::uint32_t handle = 0;
    std::uint64_t version = 0;
    Bytes bytes;
};

class Guest {
  public:
    // The first bytes choose the configuration.
    explicit Guest(Reader &choices);
    Guest(const Guest &) = delete;
    Guest &operator=(const Guest &) = delete;
    ~Guest();

    void step();
    // Everything is as the model has it.
    void compare();
    // Give everything back: all frames must come home.
    void finish();

  private:
    // What a call that failed must not have taken.
    struct Levels {
        std::uint32_t free = 0;
        std::array<std::uint32_t, 3> charged{};

        bool operator==(const Levels &) const = default;
    };

    void create();
    void clone();
    void destroy();
    void store();
    void store_astray();
    void capture();
    void snapshot();
    void drop_snapshot();
    void commit();
    void merge();
    void diff();
    void discard();
    void get_object();
    void release();
    void release_badly();
    void receive();
    void receive_large();
    void release_large();
    void move_large();
    void hold();
    void drop_holds();
    void reset();

    // In turn; one more than there are.
    static constexpr std::uint32_t queues = 3;
    std::uint32_t queue() { return queue_++ % (queues + 1); }
    snapmem_region_spec spec(std::uint32_t npages);
    // Of an owner: mostly none.
    std::uint32_t quota();
    // The number of a large frame, mostly one of the pool's.
    std::uint32_t any_large();
    // One hold on each of its frames, taken from `holds`: nothing if one has
    // none, or it is no large frame.
    static std::vector<Hold> cut_large(std::vector<Hold> &holds,
                                       std::uint32_t number);
    // Some handle: of this kind, of the other kind, an old one, anything.
    std::uint32_t bad_handle();
    Region *any_region();
    Snapshot *any_snapshot();
    // Of that length, if there is one.
    Snapshot *any_snapshot(std::size_t bytes);
    [[nodiscard]] Levels levels() const;
    // The call was allowed to fail so, and has taken nothing.
    void expect_failure(snapmem_status status, const Levels &before,
                        std::initializer_list<snapmem_status> allowed);
    // An owner that passes its quota must not have been let.
    void expect_quota(std::uint32_t owner, std::uint32_t quota,
                      const Levels &before);
    void expect_frame(const Hold &h) const;
    void expect_region(const Region &r) const;
    // Compare a snapshot with its bytes, by capturing all of it.
    void expect_snapshot(const Snapshot &s);

    [[nodiscard]] const std::uint8_t *frame(std::uint32_t f) const {
        return snapmem_pool(engine_.get()) + f * page_bytes;
    }
    [[nodiscard]] std::uint8_t *window(std::uint32_t page) const {
        return snapmem_window(engine_.get()) + page * page_bytes;
    }

    struct Free {
        void operator()(snapmem *m) const { snapmem_free(m); }
    };

    Reader &choices_;
    snapmem_config config_;
    std::unique_ptr<snapmem, Free> engine_;
    std::vector<Region> regions_;
    std::vector<Snapshot> snapshots_;
    std::vector<Hold> guest_;
    std::vector<Hold> device_;
    std::vector<std::uint32_t> old_handles_;
    std::uint32_t queue_ = 0;
};

} // namespace snapmem_fuzz
