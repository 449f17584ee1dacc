// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ledger.hpp"

#include <limits>

namespace snapmem_impl {

Ledger::Ledger(std::uint32_t slots) : accounts_(slots), owners_(1) {}

void Ledger::open(Slot slot, std::uint32_t npages, Owner owner) {
    Account &a = accounts_[slot];
    a.npages = npages;
    a.owner = owner;
    promised_ += npages;
    ++owners_[owner].regions;
}

void Ledger::close(Slot slot) {
    Account &a = accounts_[slot];
    promised_ -= a.promise();
    --owners_[a.owner].regions;
    a.npages = 0;
}

bool Ledger::disown_all(Slot slot) {
    Account &a = accounts_[slot];
    promised_ += a.npages - a.promise();
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
    promised_ -= by;
    if (held) {
        a.own_held += by;
        promised_ += by;
    }
}

Owner Ledger::find_owner(std::uint32_t id) {
    std::size_t unused = 0;
    for (std::size_t i = 1; i < owners_.size(); ++i) {
        const bool used = owners_[i].frames != 0 || owners_[i].regions != 0;
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

std::uint64_t Ledger::charged(std::uint32_t id) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 1; i < owners_.size(); ++i) {
        if (owners_[i].id == id) {
            sum += owners_[i].frames;
        }
    }
    for (const Account &a : accounts_) {
        if (a.npages != 0 && owners_[a.owner].id == id) {
            sum += a.promise();
        }
    }
    return sum;
}

const char *Ledger::check() const {
    std::uint32_t promised = 0;
    for (const Account &a : accounts_) {
        if (a.own > a.npages || a.own_held > a.own) {
            return "a region has more own frames than pages";
        }
        promised += a.promise();
    }
    return promised == promised_ ? nullptr : "the sum of promises is wrong";
}

} // namespace snapmem_impl
