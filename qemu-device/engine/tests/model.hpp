// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A guest that does random things, and a model of them that copies everything.
#pragma once

#include "rig.hpp"

#include <random>
#include <vector>

namespace snapmem_test {

using Bytes = std::vector<std::uint8_t>;

// Everything in it is of one guest: several may share an engine, each in a
// thread of its own. What other guests do can be seen in the number of free
// frames only, and `alone` says that there are none.
class ModelGuest {
  public:
    struct Limits {
        std::uint32_t region_pages; // of one region, at most
        std::uint32_t rx_reserve;
        bool snapshots; // the engine can take them
        bool alone;
    };

    ModelGuest(Rig &rig, const Limits &limits, std::uint64_t seed)
        : rig_(rig), limits_(limits), random_(seed) {}

    // One random operation, with what it returns and shows checked, and what
    // the owners are charged.
    void step() {
        operate();
        if (limits_.alone) {
            expect_charges();
        }
    }
    // All that regions, snapshots and holds show.
    void compare();
    // Give everything back.
    void finish();
    // What the engine's reset, called by somebody else, leaves.
    void forget() {
        regions_.clear();
        snapshots_.clear();
        guest_.clear();
    }
    // Frames with a guest hold, each once.
    [[nodiscard]] std::vector<Frame> held() const;
    // How often large frames came, also of captures, were released, and were
    // not: partly held.
    struct Large {
        std::uint64_t received = 0;
        std::uint64_t captured = 0;
        std::uint64_t released = 0;
        std::uint64_t refused = 0;
    };
    [[nodiscard]] const Large &large() const { return large_; }

  private:
    // One hold on a frame, and what it must hold as long as it exists.
    struct Hold {
        Frame frame;
        Bytes bytes;
    };
    struct ModelRegion {
        RegionName name;
        Bytes bytes;
        bool dirty = true;
        std::uint64_t version = 1;
        std::uint32_t owner = 0;
    };
    struct ModelSnapshot {
        std::uint32_t handle;
        Bytes bytes;
        std::uint64_t version;
        std::uint32_t owner;
    };

    void operate();
    void create();
    void destroy();
    void store();
    void capture(std::uint32_t handle, const Bytes &bytes);
    static void name_each(std::vector<Frame> &frames);
    void release();
    void release_badly();
    void receive();
    void receive_large();
    void give_large();
    void hold();
    void drop();
    void snapshot();
    void snapshot_drop();
    void clone();
    void commit();
    void merge();
    void diff();
    void discard();

    // In [low, high].
    std::uint32_t pick(std::uint32_t low, std::uint32_t high) {
        return low + static_cast<std::uint32_t>(random_() % (high - low + 1));
    }
    bool chance(std::uint32_t one_in) { return pick(1, one_in) == 1; }
    Bytes noise(std::size_t n);
    template <typename T>
    T &any(std::vector<T> &v) {
        return v[random_() % v.size()];
    }
    template <typename T>
    T cut(std::vector<T> &v) {
        std::swap(any(v), v.back());
        T t = std::move(v.back());
        v.pop_back();
        return t;
    }
    using Holds = std::vector<Hold>;
    // The large frame of which a random hold is: where there is a hold on each
    // of its frames; nothing if one has none.
    std::vector<std::size_t> find_large(const Holds &holds, Frame &number);
    // Take one hold from each of these places.
    static Holds cut_all(Holds &holds, std::vector<std::size_t> places);
    // One hold, or one on each frame of a large one: its number.
    Frame cut_any(Holds &holds);
    // A random snapshot of the same length; nullptr if there is none.
    ModelSnapshot *any_like(const Bytes &bytes);
    void expect_frame(const Hold &h) const;
    // Each owner pays for what its regions and snapshots have, and no more.
    void expect_charges() const;

    Rig &rig_;
    const Limits limits_;
    std::mt19937_64 random_;
    std::vector<ModelRegion> regions_;
    std::vector<ModelSnapshot> snapshots_;
    Holds guest_;
    Holds device_;
    Large large_;
};

} // namespace snapmem_test
