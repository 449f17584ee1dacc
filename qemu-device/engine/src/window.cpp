// SPDX-License-Identifier: LGPL-2.1-or-later
#include "window.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>

namespace snapmem_impl {

Window::Window(const Fd &file, std::uint32_t frames, std::uint32_t pages,
               std::uint32_t owners)
    : file_(file), frames_(frames),
      memory_(file, std::uint64_t{frames} * page_bytes, pages * page_bytes),
      entries_(pages), segments_of_(owners + 1) {
    for (Page p = 0; p < pages; ++p) {
        entries_[p] = {scratch(p), 0};
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
    return p == 0 || entries_[p].owner != entries_[p - 1].owner ||
           entries_[p].backing != entries_[p - 1].backing + 1;
}

void Window::count_begins(Page first, Page end, std::uint32_t by) {
    counted_ += end - first;
    for (Page p = first; p < end; ++p) {
        if (begins(p)) {
            segments_ += by;
            segments_of_[entries_[p].owner] += by;
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
        run = entries_[p].owner == 0 ? run + 1 : 0;
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

void Window::record(Page p, std::uint32_t n, Backing backing,
                    std::uint32_t owner) noexcept {
    const Page end = std::min(p + n + 1, pages());
    count_begins(p, end, ~std::uint32_t{0});
    for (std::uint32_t i = 0; i < n; ++i) {
        entries_[p + i] = {backing + i, owner};
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
    for (Page p = 0; p < pages(); ++p) {
        const Entry &e = entries_[p];
        if (e.backing != scratch(p) && (e.owner == 0 || e.backing >= frames_)) {
            return "a window page has the wrong backing";
        }
        segments += begins(p);
        of[e.owner] += begins(p);
    }
    return segments == segments_ && of == segments_of_
               ? nullptr
               : "the count of mapping segments is wrong";
}

} // namespace snapmem_impl
