// SPDX-License-Identifier: LGPL-2.1-or-later
// Puts into the key-value store of examples/, while checkpoints of it are
// written to a file, one after another: by snapshot of a region, or by fork(2)
// of a process that has the store in ordinary memory.  A message is a put.
#include "../../examples/kvstore/checkpoint.h"
#include "../memory.h"
#include "../socket.h"
#include "../workload.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <future>
#include <optional>
#include <random>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace snapbench {

namespace {

constexpr std::size_t shards = 8;

constexpr std::size_t chunk = 1 << 18;

// All of it, or what was written before it had to stop; 0 or an errno.  With
// nothing but system calls, for children of a program with threads.
int write_until(const char *path, std::span<const std::byte> bytes,
                const std::atomic<bool> &stop) {
    const int fd =
        open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return errno;
    int error = 0;
    while (!bytes.empty() && error == 0 && !stop) {
        const auto n = write(fd, bytes.data(), std::min(bytes.size(), chunk));
        if (n < 0)
            error = errno;
        else
            bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    close(fd);
    return error;
}

void good(int error, const char *what) {
    if (error != 0)
        throw std::system_error(error, std::generic_category(), what);
}

// Where the store is.
class Home {
  public:
    Home() = default;
    Home(const Home &) = delete;
    Home &operator=(const Home &) = delete;
    virtual ~Home() = default;

    virtual std::span<std::byte> bytes() = 0;
    virtual void checkpoint(kvstore::Store &store, const std::string &path,
                            const std::atomic<bool> &stop) = 0;
};

class InRegion final : public Home {
  public:
    explicit InRegion(std::size_t bytes)
        : region_(snap::Device(), bytes, SNAP_HINT_KEEP) {
        // The child of the other way would copy the tables of its mapping.
        checked(madvise(region_.bytes().data(), bytes, MADV_DONTFORK),
                "MADV_DONTFORK");
    }

    std::span<std::byte> bytes() override { return region_.bytes(); }

    void checkpoint(kvstore::Store &store, const std::string &path,
                    const std::atomic<bool> &stop) override {
        std::optional<snap::Snapshot> snapshot;
        store.between_puts([&] { snapshot.emplace(region_.snapshot()); });
        good(write_until(path.c_str(), snapshot->map().bytes(), stop),
             "checkpoint");
    }

  private:
    snap::Region region_;
};

class InMemory final : public Home {
  public:
    explicit InMemory(std::size_t bytes) : pages_(bytes) {}

    std::span<std::byte> bytes() override { return pages_.bytes(); }

    void checkpoint(kvstore::Store &store, const std::string &path,
                    const std::atomic<bool> &stop) override {
        pid_t child = 0;
        store.between_puts([&] {
            child = fork();
            if (child == 0)
                _exit(write_until(path.c_str(), pages_.bytes(), never_));
        });
        checked(child, "fork");
        int status = 0;
        while (checked(waitpid(child, &status, WNOHANG), "waitpid") == 0) {
            if (stop)
                kill(child, SIGKILL);
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
        if (WIFEXITED(status))
            good(WEXITSTATUS(status), "checkpoint");
    }

  private:
    static constexpr std::atomic<bool> never_ = false;
    Pages pages_;
};

std::unique_ptr<Home> make_home(const Side &side, std::size_t bytes) {
    if (side.family == Family::snap)
        return std::make_unique<InRegion>(bytes);
    return std::make_unique<InMemory>(bytes);
}

// Checkpoints until it ends, which it does in the middle of one.
class Writer {
  public:
    Writer(Home &home, kvstore::Store &store, const std::string &path)
        : done_(std::async(std::launch::async, [&home, &store, path, this] {
              while (!stop_)
                  home.checkpoint(store, path, stop_);
          })) {}
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;
    ~Writer() { stop_ = true; } // the future waits

    void finish() {
        stop_ = true;
        done_.get();
    }

  private:
    std::atomic<bool> stop_ = false;
    std::future<void> done_;
};

class Checkpoints final : public Work {
  public:
    Checkpoints(const Side &side, std::size_t bytes)
        : home_(make_home(side, bytes)),
          table_(kvstore::Table::format(home_->bytes(), shards)),
          names_(kvstore::fill(table_)), store_(table_),
          path_(std::filesystem::temp_directory_path() /
                "snap-bench.checkpoint") {}
    ~Checkpoints() override {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    std::uint64_t run(std::uint64_t messages) override {
        using Clock = std::chrono::steady_clock;
        latencies_.clear();
        latencies_.reserve(messages);
        Writer writer(*home_, store_, path_);
        for (std::uint64_t i = 0; i < messages; ++i) {
            const std::uint64_t number = random_() % names_;
            const std::string name = kvstore::name_of(number);
            const std::string value = kvstore::value_of(number, ++puts_);
            const auto start = Clock::now();
            store_.put_twins(name, value);
            latencies_.push_back(static_cast<double>(
                std::chrono::nanoseconds(Clock::now() - start).count()));
        }
        writer.finish();
        return messages;
    }

    std::span<const double> latencies() const override { return latencies_; }

  private:
    std::unique_ptr<Home> home_;
    kvstore::Table table_;
    std::uint64_t names_;
    kvstore::Store store_;
    std::string path_;
    std::mt19937_64 random_;
    std::uint64_t puts_ = 0;
    std::vector<double> latencies_;
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<Checkpoints>(side, bytes);
}

} // namespace

const Workload checkpoint{"checkpoint", begin, nullptr};

} // namespace snapbench
