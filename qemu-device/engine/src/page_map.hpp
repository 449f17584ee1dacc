// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which version each page of a region or snapshot has: a persistent radix tree.
#pragma once

#include "frame_pool.hpp"
#include "types.hpp"
#include "versions.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace snapmem_impl {

// A node by its index in the arena; 0 is none: a subtree without frames.
using Node = std::uint32_t;

// Nodes of one size: a count of references and 2^bits slots. A slot of a leaf
// is a version plus one, a slot of another node a node; 0 is empty in both.
//
// Not thread-safe (the engine's lock).
class NodeArena {
  public:
    explicit NodeArena(std::uint32_t bits);

    [[nodiscard]] std::uint32_t bits() const { return bits_; }
    [[nodiscard]] std::uint32_t fanout() const { return 1U << bits_; }

    // Make alloc() succeed that many times. Throws std::bad_alloc.
    void reserve(std::size_t nodes);
    // An empty node with one reference. Reserved before: cannot fail.
    Node alloc() noexcept;
    void free(Node n) noexcept;

    [[nodiscard]] std::uint32_t &refs(Node n) { return words(n)[0]; }
    [[nodiscard]] std::uint32_t refs(Node n) const { return words(n)[0]; }
    [[nodiscard]] std::uint32_t *slots(Node n) { return words(n) + 1; }
    [[nodiscard]] const std::uint32_t *slots(Node n) const {
        return words(n) + 1;
    }

    // Give the memory back if there are no nodes.
    void trim() noexcept;

    // Nodes that are neither free nor set aside.
    [[nodiscard]] std::size_t live() const { return live_; }
    // Those set aside.
    [[nodiscard]] std::size_t spare() const { return capacity_ - live_; }
    [[nodiscard]] std::size_t bytes() const {
        return chunks_.size() * chunk_nodes * node_words() * 4;
    }

  private:
    static constexpr std::uint32_t chunk_nodes = 64;

    [[nodiscard]] std::size_t node_words() const { return 1 + fanout(); }
    [[nodiscard]] std::uint32_t *words(Node n) const {
        return chunks_[n / chunk_nodes].get() + n % chunk_nodes * node_words();
    }

    std::uint32_t bits_;
    std::vector<std::unique_ptr<std::uint32_t[]>> chunks_;
    Node free_ = 0; // list through slot 0
    std::size_t capacity_ = 0;
    std::size_t live_ = 0;
};

// The map of one region or snapshot. Its root is referenced once by it. Maps
// with the same nodes have the same owner, who pays for them.
struct PageMap {
    Node root = 0;
    Owner owner = 0;
    Slot account = no_slot; // of the region; a snapshot has none
    std::uint32_t npages = 0;
    std::uint32_t levels = 0;    // of nodes
    std::uint32_t populated = 0; // pages with a frame
};

// Operations on maps. They name versions; who uses them sees the frames where
// these lie. A node with several references is shared and never changes; who
// has to change it copies it, with all nodes above it. Each leaf has one map
// hold on the frame of each of its versions.
//
// Those that change a map take nodes of the arena: see nodes_for(). None
// fails.
class PageMaps {
  public:
    PageMaps(FramePool &pool, Ledger &ledger, std::uint32_t bits)
        : pool_(pool), ledger_(ledger), versions_(pool.frames()), arena_(bits) {
    }

    [[nodiscard]] PageMap empty(std::uint32_t npages, Owner owner = 0,
                                Slot account = no_slot) const;
    // Nodes of a map whose every page has a frame: changes of a map take no
    // more than that until it is shared again.
    [[nodiscard]] std::size_t nodes_for(std::uint32_t npages) const;
    void reserve(std::size_t nodes) { arena_.reserve(nodes); }
    void trim() noexcept { arena_.trim(); }
    [[nodiscard]] std::size_t bytes() const { return arena_.bytes(); }
    [[nodiscard]] std::size_t live() const { return arena_.live(); }
    [[nodiscard]] std::size_t spare() const { return arena_.spare(); }

    // Another map with the same nodes, a snapshot's. O(1).
    PageMap share(const PageMap &m) noexcept;
    // Drop the nodes that nobody else has, and their holds on frames.
    void drop(PageMap &m) noexcept;

    struct Found {
        Frame frame = no_frame;
        bool exclusive = true; // no node above it is shared
    };
    [[nodiscard]] Found find(const PageMap &m, Page p) const;
    [[nodiscard]] Frame frame(const PageMap &m, Page p) const {
        return find(m, p).frame;
    }

    // Give the page a new version in a frame that no map has; the map hold on
    // it, the caller's, becomes the leaf's. The version before is dropped.
    void set(PageMap &m, Page p, Frame f) noexcept;
    // Give it a version that another map has.
    void set_version(PageMap &m, Page p, Version v) noexcept;
    // Let the version of a page lie in frame `to`, with a map hold of the
    // caller's, and give the page a new one in the frame where it lay. The
    // bytes are there already. Nobody but maps has either frame.
    void move(PageMap &m, Page p, Frame to) noexcept;
    // Of a page with a frame.
    [[nodiscard]] Version version(const PageMap &m, Page p) const {
        return *leaf_slot(m, p) - 1;
    }
    // The frame of a version, if it is one by now.
    [[nodiscard]] Frame frame_of(Version v) const {
        return versions_.used(v) ? versions_.frame(v) : no_frame;
    }
    [[nodiscard]] std::uint32_t versions() const { return versions_.used(); }
    // Pages without frames.
    void clear(PageMap &m, Page first, std::uint32_t n) noexcept;

    // visit(page, frame or no_frame) for each page of [first, first + n).
    template <typename Visit>
    void each(const PageMap &m, Page first, std::uint32_t n,
              Visit visit) const {
        each_below(m.root, m.levels, 0, {first, first + n}, visit);
    }
    // visit(page, frame) for the frames below nodes that nobody else has;
    // returns how many such nodes there are.
    template <typename Visit>
    std::uint32_t each_exclusive(const PageMap &m, Visit visit) const {
        Walk all{.work = ~std::uint64_t{0}};
        exclusive_below(m.root, m.levels, 0, all, visit);
        return all.nodes;
    }
    // The same from w.next on, as far as w.work slots of nodes go; each node
    // takes all of its own. False: there is more, from w.next on.
    struct Walk {
        std::uint64_t work;
        std::uint64_t next = 0; // page
        std::uint32_t nodes = 0;
    };
    template <typename Visit>
    bool some_exclusive(const PageMap &m, Walk &w, Visit visit) const {
        return exclusive_below(m.root, m.levels, 0, w, visit);
    }
    // Nodes of the map that are not in the set; they are then.
    std::uint32_t count_nodes(const PageMap &m, std::vector<bool> &seen) const {
        return nodes_below(m.root, m.levels, seen);
    }
    // visit(page, frame of a, frame of b) where they differ, from first on,
    // until it returns false. What both share is not visited. leaf(page) comes
    // before each leaf that differs; false ends it there.
    template <typename Visit, typename Leaf>
    void diff(const PageMap &a, const PageMap &b, Page first, Visit visit,
              Leaf leaf) const {
        diff_below(a.root, b.root, a.levels, 0, {first, a.npages}, visit, leaf);
    }
    template <typename Visit>
    void diff(const PageMap &a, const PageMap &b, Page first,
              Visit visit) const {
        diff(a, b, first, visit, [](Page) { return true; });
    }

  private:
    struct Range {
        std::uint64_t first, end; // pages
    };

    // Pages below one slot of a node at that level (1: a leaf).
    [[nodiscard]] std::uint64_t span(std::uint32_t level) const {
        return std::uint64_t{1} << (arena_.bits() * (level - 1));
    }
    [[nodiscard]] std::uint32_t slot_of(Page p, std::uint32_t level) const {
        return p >> (arena_.bits() * (level - 1)) & (arena_.fanout() - 1);
    }
    // What a slot of a leaf stands for.
    [[nodiscard]] Frame frame_in(std::uint32_t slot) const {
        return slot == 0 ? no_frame : versions_.frame(slot - 1);
    }
    // The slot of a page that has a frame.
    [[nodiscard]] const std::uint32_t *leaf_slot(const PageMap &m,
                                                 Page p) const;
    // A leaf comes to have, or has no more, what such a slot stands for.
    void hold(std::uint32_t slot) noexcept {
        pool_.add(frame_in(slot), Holder::map);
    }
    void unhold(std::uint32_t slot) noexcept;
    void put(PageMap &m, Page p, Version v) noexcept;
    // All for a map, whose owner pays for what is taken.
    Node alloc(const PageMap &m) noexcept;
    Node own(const PageMap &m, Node n, std::uint32_t level) noexcept;
    void unref(const PageMap &m, Node n, std::uint32_t level) noexcept;
    Node clear_below(const PageMap &m, Node n, std::uint32_t level,
                     std::uint64_t base, Range r,
                     std::uint32_t &cleared) noexcept;
    [[nodiscard]] std::uint32_t count(Node n, std::uint32_t level) const;
    std::uint32_t nodes_below(Node n, std::uint32_t level,
                              std::vector<bool> &seen) const;
    // Has a page of the range a frame?
    [[nodiscard]] bool any_below(Node n, std::uint32_t level,
                                 std::uint64_t base, Range r) const;

    // The slots of a node that a range touches.
    struct SlotRange {
        std::uint32_t first, end;
    };
    [[nodiscard]] SlotRange slots_in(std::uint64_t base, std::uint64_t step,
                                     Range r) const {
        const std::uint64_t low = r.first > base ? (r.first - base) / step : 0;
        const std::uint64_t high =
            r.end > base ? (r.end - base + step - 1) / step : 0;
        return {static_cast<std::uint32_t>(low),
                static_cast<std::uint32_t>(
                    high < arena_.fanout() ? high : arena_.fanout())};
    }

    template <typename Visit>
    void each_below(Node n, std::uint32_t level, std::uint64_t base, Range r,
                    Visit &visit) const {
        const std::uint64_t step = span(level);
        const SlotRange range = slots_in(base, step, r);
        for (std::uint32_t i = range.first; i < range.end; ++i) {
            const std::uint32_t slot = n != 0 ? arena_.slots(n)[i] : 0;
            const std::uint64_t at = base + i * step;
            if (level == 1) {
                visit(static_cast<Page>(at), frame_in(slot));
            } else {
                each_below(slot, level - 1, at, r, visit);
            }
        }
    }

    template <typename Visit>
    bool exclusive_below(Node n, std::uint32_t level, std::uint64_t base,
                         Walk &w, Visit &visit) const {
        if (n == 0 || arena_.refs(n) != 1) {
            return true;
        }
        if (w.work < arena_.fanout()) {
            w.next = std::max(w.next, base);
            return false;
        }
        w.work -= arena_.fanout();
        ++w.nodes;
        const std::uint64_t step = span(level);
        const SlotRange range = slots_in(base, step, {w.next, ~Page{0}});
        for (std::uint32_t i = range.first; i < range.end; ++i) {
            const std::uint32_t slot = arena_.slots(n)[i];
            const std::uint64_t at = base + i * step;
            if (slot != 0 && level == 1) {
                visit(static_cast<Page>(at), frame_in(slot));
            } else if (slot != 0 &&
                       !exclusive_below(slot, level - 1, at, w, visit)) {
                return false;
            }
        }
        return true;
    }

    template <typename Visit, typename Leaf>
    bool diff_below(Node a, Node b, std::uint32_t level, std::uint64_t base,
                    Range r, Visit &visit, Leaf &leaf) const {
        if (a == b) {
            return true;
        }
        if (level == 1 && !leaf(static_cast<Page>(std::max(base, r.first)))) {
            return false;
        }
        const std::uint64_t step = span(level);
        const SlotRange range = slots_in(base, step, r);
        for (std::uint32_t i = range.first; i < range.end; ++i) {
            const std::uint32_t in_a = a != 0 ? arena_.slots(a)[i] : 0;
            const std::uint32_t in_b = b != 0 ? arena_.slots(b)[i] : 0;
            const std::uint64_t at = base + i * step;
            if (in_a == in_b) {
                continue;
            }
            if (level == 1
                    ? !visit(static_cast<Page>(at), frame_in(in_a),
                             frame_in(in_b))
                    : !diff_below(in_a, in_b, level - 1, at, r, visit, leaf)) {
                return false;
            }
        }
        return true;
    }

    FramePool &pool_;
    Ledger &ledger_;
    Versions versions_;
    NodeArena arena_;
};

} // namespace snapmem_impl
