// SPDX-License-Identifier: LGPL-2.1-or-later
#include "file.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <vector>

namespace kvstore {

namespace {

struct Trailer {
    std::uint64_t length; // bytes before it
    std::uint64_t checksum;
};

std::uint64_t checksum(std::span<const std::byte> bytes,
                       std::uint64_t sum) noexcept {
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t part = std::min(bytes.size(), sizeof(word));
        std::memcpy(&word, bytes.data(), part);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 29;
        bytes = bytes.subspan(part);
    }
    return sum;
}

int write_all(int fd, std::span<const std::byte> bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR)
            return errno;
        bytes = bytes.subspan(static_cast<std::size_t>(std::max(0L, written)));
    }
    return 0;
}

int write_table(int fd, std::span<const std::byte> table) noexcept {
    constexpr std::size_t step = 1 << 20;
    Trailer trailer{table.size(), 0};
    while (!table.empty()) {
        const auto part = table.first(std::min(step, table.size()));
        trailer.checksum = checksum(part, trailer.checksum);
        if (const int error = write_all(fd, part); error != 0)
            return error;
        table = table.subspan(part.size());
    }
    if (const int error = write_all(fd, std::as_bytes(std::span(&trailer, 1)));
        error != 0)
        return error;
    return ::fdatasync(fd) < 0 ? errno : 0;
}

} // namespace

int write_file(const char *path, std::span<const std::byte> table) noexcept {
    const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    const int error = write_table(fd, table);
    return ::close(fd) < 0 && error == 0 ? errno : error;
}

Verdict verify_file(const std::string &path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    // words, for the alignment of the table in them
    std::vector<std::uint64_t> words(error ? 0 : size / sizeof(std::uint64_t));
    const auto bytes = std::as_writable_bytes(std::span(words));
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char *>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    if (!file)
        return {"the file cannot be read"};
    Trailer trailer{};
    if (bytes.size() < sizeof(trailer))
        return {"the file is too short"};
    const std::span<const std::byte> table =
        bytes.first(bytes.size() - sizeof(trailer));
    std::memcpy(&trailer, table.data() + table.size(), sizeof(trailer));
    if (trailer.length != table.size())
        return {"the file does not have its length"};
    if (checksum(table, 0) != trailer.checksum)
        return {"the file does not have its checksum"};
    try {
        return Reader(table).verify();
    } catch (const std::exception &error) {
        return {error.what()};
    }
}

} // namespace kvstore
