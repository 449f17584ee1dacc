// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ledger.hpp"

#include <limits>

namespace snapmem_impl {

Ledger::Ledger(std::uint32_t slots) : accounts_(slots), owners_(1) {}

void Ledger::open(Slot slot, std::uint32_t npages, Owner owner) {
    Account &a = accounts_[slot];
    a.npages = npages;
    a.owner = owner;
    promise(a, npages);
    ++owners_[owner].regions;
}

void Ledger::close(Slot slot) {
    Account &a = accounts_[slot];
    promise(a, 0 - a.promise());
    --owners_[a.owner].regions;
    set_exclusive_nodes(slot, 0);
    a.npages = 0;
}

bool Ledger::disown_all(Slot slot) {
    Account &a = accounts_[slot];
    promise(a, a.npages - a.promise());
    a.own = 0;
    a.own_held = 0;
    if (++a.epoch == 0) {
        a.epoch = 1;
        return true;
    }
    return false;
}

void Ledger::count_own(Slot slot, bool held, std::uint32_t by) {
    Account &a = accounts_[slot];
    a.own += by;
    if (held) {
        a.own_held += by;
    } else {
        promise(a, 0 - by);
    }
}

void Ledger::count_own_held(Slot slot, std::uint32_t by) {
    Account &a = accounts_[slot];
    a.own_held += by;
    promise(a, by);
}

void Ledger::count_node(Owner o, Slot slot, bool comes) noexcept {
    OwnerEntry &e = owners_[o];
    const std::uint32_t by = comes ? 1 : ~std::uint32_t{0};
    e.nodes += by;
    // One that became the region's alone without notice may go, too.
    if (slot != no_slot && (comes || accounts_[slot].nodes != 0)) {
        accounts_[slot].nodes += by;
        e.exclusive += by;
    } else {
        shared_nodes_ += by;
    }
}

void Ledger::set_exclusive_nodes(Slot slot, std::uint32_t nodes) {
    Account &a = accounts_[slot];
    owners_[a.owner].exclusive += nodes - a.nodes;
    shared_nodes_ += a.nodes - nodes;
    a.nodes = nodes;
}

Owner Ledger::find_owner(std::uint32_t id) {
    std::size_t unused = 0;
    for (std::size_t i = 1; i < owners_.size(); ++i) {
        const bool used = owners_[i].used();
        if (used && owners_[i].id == id) {
            return static_cast<Owner>(i);
        }
        if (!used && unused == 0) {
            unused = i;
        }
    }
    if (unused == 0) {
        if (owners_.size() > std::numeric_limits<Owner>::max()) {
            return 0;
        }
        unused = owners_.size();
        owners_.emplace_back();
    }
    owners_[unused].id = id;
    return static_cast<Owner>(unused);
}

std::uint64_t Ledger::charged_id(std::uint32_t id) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 1; i < owners_.size(); ++i) {
        if (owners_[i].id == id) {
            sum += charged(static_cast<Owner>(i));
        }
    }
    return sum;
}

const char *Ledger::check() const {
    struct Sums {
        std::uint32_t promised = 0;
        std::uint32_t exclusive = 0;
    };
    std::vector<Sums> sums(owners_.size());
    std::uint32_t promised = 0;
    std::uint32_t rebinds = 0;
    for (const Account &a : accounts_) {
        rebinds += a.rebinds;
        if (a.own > a.npages || a.own_held > a.own) {
            return "a region has more own frames than pages";
        }
        promised += a.promise();
        sums[a.owner].promised += a.promise();
        sums[a.owner].exclusive += a.nodes;
    }
    std::uint32_t shared = 0;
    for (std::size_t i = 0; i < owners_.size(); ++i) {
        const OwnerEntry &e = owners_[i];
        shared += e.shared();
        if (sums[i].promised != e.promised) {
            return "the promises of an owner are wrong";
        }
        if (sums[i].exclusive != e.exclusive || e.exclusive > e.nodes) {
            return "the nodes of an owner are miscounted";
        }
    }
    if (shared != shared_nodes_) {
        return "the sum of shared nodes is wrong";
    }
    if (rebinds != rebinds_) {
        return "the sum of pages to rebind is wrong";
    }
    return promised == promised_ ? nullptr : "the sum of promises is wrong";
}

} // namespace snapmem_impl
