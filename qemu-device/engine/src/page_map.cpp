// SPDX-License-Identifier: LGPL-2.1-or-later
#include "page_map.hpp"

#include <algorithm>

namespace snapmem_impl {

NodeArena::NodeArena(std::uint32_t bits) : bits_(bits) {}

void NodeArena::reserve(std::size_t nodes) {
    while (capacity_ - live_ < nodes) {
        const std::size_t words = chunk_nodes * node_words();
        chunks_.reserve(chunks_.size() + 1);
        chunks_.push_back(std::make_unique<std::uint32_t[]>(words));
        const auto first =
            static_cast<Node>((chunks_.size() - 1) * chunk_nodes);
        // Node 0 is none.
        for (Node n = first + chunk_nodes; n-- > std::max(first, Node{1});) {
            slots(n)[0] = free_;
            free_ = n;
            ++capacity_;
        }
    }
}

Node NodeArena::alloc() noexcept {
    const Node n = free_;
    free_ = slots(n)[0];
    refs(n) = 1;
    std::fill_n(slots(n), fanout(), 0);
    ++live_;
    return n;
}

void NodeArena::free(Node n) noexcept {
    slots(n)[0] = free_;
    free_ = n;
    --live_;
}

void NodeArena::trim() noexcept {
    if (live_ == 0) {
        chunks_.clear();
        free_ = 0;
        capacity_ = 0;
    }
}

PageMap PageMaps::empty(std::uint32_t npages, Owner owner, Slot account) const {
    PageMap m;
    m.owner = owner;
    m.account = account;
    m.npages = npages;
    m.levels = 1;
    while (span(m.levels + 1) < npages) {
        ++m.levels;
    }
    return m;
}

std::size_t PageMaps::nodes_for(std::uint32_t npages) const {
    std::size_t sum = 0;
    std::size_t nodes = npages;
    do {
        nodes = (nodes + arena_.fanout() - 1) >> arena_.bits();
        sum += nodes;
    } while (nodes > 1);
    return sum;
}

PageMap PageMaps::share(const PageMap &m) noexcept {
    if (m.root != 0) {
        ++arena_.refs(m.root);
    }
    PageMap same = m;
    same.account = no_slot;
    return same;
}

void PageMaps::drop(PageMap &m) noexcept {
    unref(m, m.root, m.levels);
    m.root = 0;
    m.populated = 0;
}

Node PageMaps::alloc(const PageMap &m) noexcept {
    ledger_.count_node(m.owner, m.account, true);
    return arena_.alloc();
}

void PageMaps::unref(const PageMap &m, Node n, std::uint32_t level) noexcept {
    if (n == 0 || --arena_.refs(n) != 0) {
        return;
    }
    for (std::uint32_t i = 0; i < arena_.fanout(); ++i) {
        const std::uint32_t slot = arena_.slots(n)[i];
        if (slot != 0 && level == 1) {
            unhold(slot);
        } else if (slot != 0) {
            unref(m, slot, level - 1);
        }
    }
    arena_.free(n);
    ledger_.count_node(m.owner, m.account, false);
}

PageMaps::Found PageMaps::find(const PageMap &m, Page p) const {
    Found found;
    Node n = m.root;
    for (std::uint32_t level = m.levels; n != 0; --level) {
        found.exclusive = found.exclusive && arena_.refs(n) == 1;
        const std::uint32_t slot = arena_.slots(n)[slot_of(p, level)];
        if (level == 1) {
            found.frame = frame_in(slot);
            break;
        }
        n = slot;
    }
    return found;
}

// A node with the same slots and one reference, the caller's: n itself, or a
// copy of it.
Node PageMaps::own(const PageMap &m, Node n, std::uint32_t level) noexcept {
    if (n == 0) {
        return alloc(m);
    }
    if (arena_.refs(n) == 1) {
        return n;
    }
    const Node copy = alloc(m);
    for (std::uint32_t i = 0; i < arena_.fanout(); ++i) {
        const std::uint32_t slot = arena_.slots(n)[i];
        arena_.slots(copy)[i] = slot;
        if (slot != 0 && level == 1) {
            hold(slot);
        } else if (slot != 0) {
            ++arena_.refs(slot);
        }
    }
    --arena_.refs(n);
    return copy;
}

const std::uint32_t *PageMaps::leaf_slot(const PageMap &m, Page p) const {
    Node n = m.root;
    for (std::uint32_t level = m.levels; level > 1; --level) {
        n = arena_.slots(n)[slot_of(p, level)];
    }
    return &arena_.slots(n)[slot_of(p, 1)];
}

void PageMaps::unhold(std::uint32_t slot) noexcept {
    const Frame f = frame_in(slot);
    if (pool_.map_holds(f) == 1) {
        versions_.remove(slot - 1);
    }
    pool_.drop(f, Holder::map);
}

// The map hold on its frame is there.
void PageMaps::put(PageMap &m, Page p, Version v) noexcept {
    std::uint32_t *link = &m.root;
    for (std::uint32_t level = m.levels; level > 0; --level) {
        *link = own(m, *link, level);
        link = &arena_.slots(*link)[slot_of(p, level)];
    }
    if (*link != 0) {
        unhold(*link);
    } else {
        ++m.populated;
    }
    *link = v + 1;
}

void PageMaps::set(PageMap &m, Page p, Frame f) noexcept {
    put(m, p, versions_.add(f));
}

void PageMaps::move(PageMap &m, Page p, Frame to) noexcept {
    const Version v = version(m, p);
    const Frame from = versions_.frame(v);
    pool_.exchange(from, to);
    versions_.move(v, to);
    set(m, p, from);
}

void PageMaps::set_version(PageMap &m, Page p, Version v) noexcept {
    hold(v + 1);
    put(m, p, v);
}

std::uint32_t PageMaps::count(Node n, std::uint32_t level) const {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; n != 0 && i < arena_.fanout(); ++i) {
        const std::uint32_t slot = arena_.slots(n)[i];
        sum += level == 1 ? slot != 0 : count(slot, level - 1);
    }
    return sum;
}

std::uint32_t PageMaps::nodes_below(Node n, std::uint32_t level,
                                    std::vector<bool> &seen) const {
    if (n >= seen.size()) {
        seen.resize(n + 1);
    }
    if (n == 0 || seen[n]) {
        return 0;
    }
    seen[n] = true;
    std::uint32_t sum = 1;
    for (std::uint32_t i = 0; level > 1 && i < arena_.fanout(); ++i) {
        sum += nodes_below(arena_.slots(n)[i], level - 1, seen);
    }
    return sum;
}

bool PageMaps::any_below(Node n, std::uint32_t level, std::uint64_t base,
                         Range r) const {
    if (n == 0) {
        return false;
    }
    const std::uint64_t step = span(level);
    const SlotRange range = slots_in(base, step, r);
    for (std::uint32_t i = range.first; i < range.end; ++i) {
        const std::uint32_t slot = arena_.slots(n)[i];
        if (level == 1 ? slot != 0
                       : any_below(slot, level - 1, base + i * step, r)) {
            return true;
        }
    }
    return false;
}

Node PageMaps::clear_below(const PageMap &m, Node n, std::uint32_t level,
                           std::uint64_t base, Range r,
                           std::uint32_t &cleared) noexcept {
    if (n == 0) {
        return 0;
    }
    const std::uint64_t step = span(level);
    if (r.first <= base && base + step * arena_.fanout() <= r.end) {
        cleared += count(n, level);
        unref(m, n, level);
        return 0;
    }
    if (!any_below(n, level, base, r)) {
        return n; // a copy of it would be of use to nobody
    }
    n = own(m, n, level);
    const SlotRange range = slots_in(base, step, r);
    for (std::uint32_t i = range.first; i < range.end; ++i) {
        std::uint32_t &slot = arena_.slots(n)[i];
        if (slot != 0 && level == 1) {
            unhold(slot);
            ++cleared;
            slot = 0;
        } else {
            slot = clear_below(m, slot, level - 1, base + i * step, r, cleared);
        }
    }
    return n;
}

void PageMaps::clear(PageMap &m, Page first, std::uint32_t n) noexcept {
    std::uint32_t cleared = 0;
    m.root = clear_below(m, m.root, m.levels, 0,
                         {first, std::uint64_t{first} + n}, cleared);
    m.populated -= cleared;
}

} // namespace snapmem_impl
