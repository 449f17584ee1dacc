// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How programs get a consistent view of their memory without the engine:
// fork(), a private mapping of a memory file, a copy.
#include "memory.hpp"
#include "os.hpp"
#include "processors.hpp"
#include "rig.hpp"

#include <array>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace snapmem_bench {
namespace {

// A child that lives until the object goes, and its memory with it.
class Child {
  public:
    Child() {
        if (pipe(ends_.data()) != 0 || (pid_ = fork()) < 0) {
            std::perror("fork");
            std::exit(1);
        }
        if (pid_ == 0) {
            close(ends_[1]);
            char c = 0;
            const ssize_t got = read(ends_[0], &c, 1);
            _exit(got == 0 ? 0 : 1);
        }
    }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;
    ~Child() {
        close(ends_[1]);
        close(ends_[0]);
        waitpid(pid_, nullptr, 0);
    }

  private:
    std::array<int, 2> ends_{};
    pid_t pid_ = -1;
};

std::uint32_t pages_of(const benchmark::State &state) {
    return static_cast<std::uint32_t>(state.range(0));
}

void sizes(benchmark::internal::Benchmark *b) {
    b->Arg(small_pages)->Arg(middle_pages)->Arg(large_pages)->UseManualTime();
    b->MinTime(0.1);
}

void fork_only(benchmark::State &state) {
    Memory memory(pages_of(state));
    for ([[maybe_unused]] auto _ : state) {
        std::unique_ptr<Child> child;
        state.SetIterationTime(
            seconds([&] { child = std::make_unique<Child>(); }));
        child.reset();
        memory.write_all();
    }
}
BENCHMARK(fork_only)->Apply(sizes)->MinTime(0.03);

void fork_and_store_all(benchmark::State &state) {
    Memory memory(pages_of(state));
    for ([[maybe_unused]] auto _ : state) {
        std::unique_ptr<Child> child;
        state.SetIterationTime(seconds([&] {
            child = std::make_unique<Child>();
            memory.write_all();
        }));
    }
    state.SetItemsProcessed(state.iterations() * pages_of(state));
}
BENCHMARK(fork_and_store_all)->Apply(sizes);

// The same by two threads, each a half, on two processors.
void fork_and_store_by_two(benchmark::State &state) {
    use_all_processors();
    Memory memory(pages_of(state));
    const std::size_t half = memory.bytes() / 2;
    for ([[maybe_unused]] auto _ : state) {
        std::unique_ptr<Child> child;
        state.SetIterationTime(seconds([&] {
            child = std::make_unique<Child>();
            std::thread other([&] { memory.write(half, memory.bytes()); });
            memory.write(0, half);
            other.join();
        }));
    }
    use_first_processor();
    state.SetItemsProcessed(state.iterations() * pages_of(state));
}
BENCHMARK(fork_and_store_by_two)
    ->Arg(middle_pages)
    ->UseManualTime()
    ->MinTime(0.1);

// The file is the snapshot, the program goes on in a private mapping of it.
void private_mapping_and_store_all(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    const snapmem_impl::Fd file =
        snapmem_impl::make_memory_file("peer", n * page_bytes);
    Memory(n, MAP_SHARED, file.get()).write_all();
    for ([[maybe_unused]] auto _ : state) {
        std::unique_ptr<Memory> view;
        state.SetIterationTime(seconds([&] {
            view = std::make_unique<Memory>(n, MAP_PRIVATE | MAP_NORESERVE,
                                            file.get());
            view->write_all();
        }));
    }
    state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(private_mapping_and_store_all)->Apply(sizes);

// Into memory that is there already.
void copy_and_store_all(benchmark::State &state) {
    Memory memory(pages_of(state));
    Memory copy(pages_of(state));
    for ([[maybe_unused]] auto _ : state) {
        state.SetIterationTime(seconds([&] {
            std::memcpy(copy.data(), memory.data(), memory.bytes());
            benchmark::ClobberMemory();
            memory.write_all();
        }));
    }
    state.SetItemsProcessed(state.iterations() * pages_of(state));
}
BENCHMARK(copy_and_store_all)->Apply(sizes);

// Into memory that the kernel has to find and clear first.
void copy_to_new_and_store_all(benchmark::State &state) {
    Memory memory(pages_of(state));
    for ([[maybe_unused]] auto _ : state) {
        std::unique_ptr<Memory> copy;
        state.SetIterationTime(seconds([&] {
            copy = std::make_unique<Memory>(
                pages_of(state), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1);
            madvise(copy->data(), copy->bytes(), MADV_NOHUGEPAGE);
            std::memcpy(copy->data(), memory.data(), memory.bytes());
            benchmark::ClobberMemory();
            memory.write_all();
        }));
    }
    state.SetItemsProcessed(state.iterations() * pages_of(state));
}
BENCHMARK(copy_to_new_and_store_all)->Apply(sizes);

} // namespace
} // namespace snapmem_bench
