// SPDX-License-Identifier: LGPL-2.1-or-later
#include "window.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>

namespace snapmem_impl {

Window::Window(const Fd &file, FramePool &pool, Ledger &ledger,
               std::uint32_t pages, std::uint32_t owners)
    : file_(file), pool_(pool), ledger_(ledger), frames_(pool.frames()),
      memory_(file, std::uint64_t{frames_} * page_bytes, pages * page_bytes),
      backing_(pages), owner_(pages), segments_of_(owners + 1) {
    for (Page p = 0; p < pages; ++p) {
        backing_[p] = scratch(p);
    }
    count_begins(0, pages, 1);
    advise(0, pages);
}

std::size_t Window::run_length(std::span<const Backing> pages) const {
    std::size_t n = 1;
    while (n < pages.size() && pages[n] == pages[n - 1] + 1 &&
           pages[n] != frames_) {
        ++n;
    }
    return n;
}

bool Window::begins(Page p) const {
    return p == 0 || owner_[p] != owner_[p - 1] ||
           backing_[p] != backing_[p - 1] + 1;
}

void Window::count_begins(Page first, Page end, std::uint32_t by) {
    counted_ += end - first;
    for (Page p = first; p < end; ++p) {
        if (begins(p)) {
            segments_ += by;
            segments_of_[owner_[p]] += by;
        }
    }
}

// Scratch pages are not populated: they would take memory of the host.
bool Window::map(Page p, std::uint32_t n, Backing backing,
                 bool populate) noexcept {
    const int now = populate && backing < frames_ ? MAP_POPULATE : 0;
    if (mmap(memory_.data() + p * page_bytes, n * page_bytes,
             PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE | now, file_.get(),
             static_cast<off_t>(backing * page_bytes)) == MAP_FAILED) {
        return false;
    }
    advise(p, n);
    ++mapped_;
    return true;
}

// A new mapping has none of the advice that the old one had. All have the same
// here, and more than whoever made the area part of a guest gives it once, for
// two reasons: their bytes are not in core dumps (those of frames are, with the
// pool, if that is wanted) and no child of fork() keeps frames mapped; and the
// kernel merges neighbours of one kind only, as segments() expects. What the
// kernel does not know it refuses for all of them.
void Window::advise(Page p, std::uint32_t n) const noexcept {
    for (const int advice : {MADV_DONTDUMP, MADV_DONTFORK, MADV_HUGEPAGE}) {
        madvise(memory_.data() + p * page_bytes, n * page_bytes, advice);
    }
}

std::optional<Page> Window::find_gap(std::uint32_t n) const {
    std::uint32_t run = 0;
    for (Page p = 0; p < pages(); ++p) {
        run = owner_[p] == 0 ? run + 1 : 0;
        if (run == n) {
            return p + 1 - n;
        }
    }
    return std::nullopt;
}

std::uint32_t Window::bind_cost(std::span<const Backing> pages) const {
    std::uint32_t runs = 0;
    for (; !pages.empty(); pages = pages.subspan(run_length(pages))) {
        ++runs;
    }
    return runs + 1;
}

// What a page of a region shows, or shows no more.
void Window::tell(Page p, bool shown) noexcept {
    if (owner_[p] == 0) {
        return;
    }
    if (backing_[p] >= frames_) {
        ledger_.count_rebind(slot_of(p), shown ? 1 : ~std::uint32_t{0});
    } else if (shown) {
        pool_.show(backing_[p], slot_of(p));
    } else {
        pool_.hide(backing_[p], slot_of(p));
    }
}

void Window::record(Page p, std::uint32_t n, Backing backing,
                    std::uint32_t owner) noexcept {
    const Page end = std::min(p + n + 1, pages());
    count_begins(p, end, ~std::uint32_t{0});
    for (Page q = p; q < p + n; ++q) {
        tell(q, false);
        backing_[q] = backing + (q - p);
        owner_[q] = static_cast<std::uint16_t>(owner);
        tell(q, true);
    }
    count_begins(p, end, 1);
}

std::uint32_t Window::show(Page p, std::span<const Backing> pages,
                           std::uint32_t owner, bool populate) noexcept {
    std::uint32_t done = 0;
    while (!pages.empty()) {
        const auto run = static_cast<std::uint32_t>(run_length(pages));
        if (!map(p + done, run, pages[0], populate)) {
            break;
        }
        record(p + done, run, pages[0], owner);
        done += run;
        pages = pages.subspan(run);
    }
    return done;
}

bool Window::show_scratch(Page p, std::uint32_t n,
                          std::uint32_t owner) noexcept {
    if (!map(p, n, scratch(p), false)) {
        return false;
    }
    record(p, n, scratch(p), owner);
    return true;
}

void Window::clear_scratch(Page p, std::uint32_t n) noexcept {
    fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<off_t>(scratch(p) * page_bytes),
              static_cast<off_t>(n * page_bytes));
}

const char *Window::check() const {
    std::uint32_t segments = 0;
    std::vector<std::uint32_t> of(segments_of_.size());
    std::vector<std::uint32_t> shown(frames_);
    for (Page p = 0; p < pages(); ++p) {
        const Backing b = backing_[p];
        if (b != scratch(p) && (owner_[p] == 0 || b >= frames_)) {
            return "a window page has the wrong backing";
        }
        if (b < frames_) {
            ++shown[b];
            if (!pool_.shown_often(b) &&
                (!pool_.shown_once(b) || pool_.shower(b) != slot_of(p))) {
                return "it is not known who shows a frame";
            }
        }
        segments += begins(p);
        of[owner_[p]] += begins(p);
    }
    for (Frame f = 0; f < frames_; ++f) {
        if (!pool_.is_free(f) && pool_.shown_once(f) && shown[f] != 1) {
            return "a frame is shown never, or often, not once";
        }
    }
    return segments == segments_ && of == segments_of_
               ? nullptr
               : "the count of mapping segments is wrong";
}

} // namespace snapmem_impl
