// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program.h"
#include "options.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace snaprun {

namespace {

constexpr int scripts_max = 4; // interpreters that are scripts: as the kernel

bool executable(const std::string &path) {
    struct stat file {};
    return ::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
}

[[noreturn]] void refuse(const std::string &path, const char *why) {
    throw ProgramError(exit_unusable, path + why);
}

// True if the loader runs it in secure mode and ignores what is preloaded.
bool gains_privileges(const std::string &path) {
    struct stat file {};
    struct statvfs mount {};
    if (::stat(path.c_str(), &file) < 0 ||
        (::statvfs(path.c_str(), &mount) == 0 &&
         (mount.f_flag & ST_NOSUID) != 0))
        return false;
    if ((file.st_mode & S_ISUID) != 0 && file.st_uid != ::getuid())
        return true;
    constexpr mode_t as_group = S_ISGID | S_IXGRP; // else it means locking
    if ((file.st_mode & as_group) == as_group && file.st_gid != ::getgid())
        return true;
    return ::getuid() != 0 &&
           ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// The name of a loader, from the place of a program that has it.
std::string loader_at(std::istream &file, const Elf64_Phdr &segment) {
    std::array<char, 256> name{};
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    file.read(name.data(), static_cast<std::streamsize>(std::min<std::size_t>(
                               segment.p_filesz, name.size() - 1)));
    return name.data();
}

// Only what the loader reads: the kernel checks the rest.
std::string check_elf(const std::string &path, std::istream &file) {
    Elf64_Ehdr header{};
    file.read(reinterpret_cast<char *>(&header), sizeof(header));
    if (!file || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64)
        refuse(path, ": not a program of this machine's 64-bit kind");
    bool dynamic = false;
    std::string loader;
    for (int i = 0; i < header.e_phnum && !dynamic; i++) {
        Elf64_Phdr segment{};
        file.seekg(static_cast<std::streamoff>(header.e_phoff) +
                   i * static_cast<std::streamoff>(header.e_phentsize));
        file.read(reinterpret_cast<char *>(&segment), sizeof(segment));
        if (!file)
            break;
        dynamic = segment.p_type == PT_INTERP;
        if (dynamic)
            loader = loader_at(file, segment);
    }
    if (!dynamic)
        refuse(path, ": statically linked: nothing can be preloaded");
    if (gains_privileges(path))
        refuse(path, ": set-user-ID, set-group-ID or with capabilities: "
                     "the loader preloads nothing");
    return loader;
}

// The first word after "#!".
std::string interpreter(const std::string &line) {
    std::istringstream words(line.substr(2));
    std::string first;
    words >> first;
    return first;
}

} // namespace

std::string find_program(const std::string &name) {
    if (name.find('/') != std::string::npos) {
        if (::access(name.c_str(), F_OK) != 0)
            throw ProgramError(exit_not_found, name + ": not found");
        if (!executable(name))
            refuse(name, ": not an executable file");
        return name;
    }
    const char *const path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string file = (folder.empty() ? "." : folder) + "/" + name;
        if (executable(file))
            return file;
    }
    throw ProgramError(exit_not_found, name + ": not found");
}

std::string check_preload(const std::string &path) {
    std::string program = path;
    for (int depth = 0; depth <= scripts_max; depth++) {
        std::ifstream file(program, std::ios::binary);
        std::array<char, SELFMAG> magic{};
        file.read(magic.data(), magic.size());
        if (std::memcmp(magic.data(), ELFMAG, SELFMAG) == 0) {
            file.seekg(0);
            return check_elf(program, file);
        }
        if (file.gcount() < 2 || magic[0] != '#' || magic[1] != '!') {
            // The program may be readable by the kernel only: then who knows.
            if (file.gcount() > 0)
                refuse(program, ": neither a program nor a script with #!");
            return {};
        }
        file.clear();
        file.seekg(0);
        std::string line;
        std::getline(file, line);
        program = interpreter(line);
    }
    refuse(path, ": too many interpreters");
}

bool is_gnu(const std::string &loader) {
    return loader.find("/ld-linux") != std::string::npos;
}

} // namespace snaprun
