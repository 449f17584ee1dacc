// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-run: command line, which sockets are mapped, which programs it takes.
#include "snap-run/counts.h"
#include "snap-run/ledger.h"
#include "snap-run/options.h"
#include "snap-run/preload/family.h"
#include "snap-run/program.h"
#include "snap-run/supervise.h"

#include <cerrno>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using snaprun::snap_protocol;

// What is left of the command line is valid as long as this is.
class CommandLine {
  public:
    explicit CommandLine(std::vector<std::string> words)
        : words_(std::move(words)) {
        words_.insert(words_.begin(), "snap-run");
        for (auto &word : words_)
            pointers_.push_back(word.data());
        pointers_.push_back(nullptr);
    }
    snaprun::Options parse() {
        return snaprun::parse(static_cast<int>(words_.size()),
                              pointers_.data());
    }

  private:
    std::vector<std::string> words_;
    std::vector<char *> pointers_;
};

TEST(RunParse, OptionsEndWhereTheProgramBegins) {
    CommandLine line({"-c", "program", "-o", "x"});
    const auto options = line.parse();
    EXPECT_TRUE(options.count);
    EXPECT_TRUE(options.output.empty());
    EXPECT_STREQ(options.argv[0], "program");
    EXPECT_STREQ(options.argv[1], "-o");
    CommandLine dashes({"--", "-x"});
    EXPECT_STREQ(dashes.parse().argv[0], "-x");
}

TEST(RunParse, OutputCounts) {
    CommandLine line({"--output=file", "program"});
    const auto options = line.parse();
    EXPECT_TRUE(options.count);
    EXPECT_EQ(options.output, "file");
}

TEST(RunParse, HeapIsWholePages) {
    CommandLine line({"-A", "--heap", "24M", "program"});
    const auto options = line.parse();
    EXPECT_EQ(options.heap, 24U << 20);
    EXPECT_TRUE(options.aligned);
    EXPECT_EQ(CommandLine({"-H1", "program"}).parse().heap, 4096U);
    EXPECT_EQ(CommandLine({"-H4097", "program"}).parse().heap, 8192U);
}

TEST(RunParse, Refuses) {
    const std::vector<std::vector<std::string>> bad{
        {},
        {"--"},
        {"-c"},
        {"-x", "program"},
        {"--output"},
        {"-A", "program"},
        {"-H", "0", "program"},
        {"-H", "1x", "program"},
        {"-H", "2048G", "program"},
        {"-H", "99999999999999999999", "program"}};
    for (const auto &words : bad)
        EXPECT_THROW(CommandLine(words).parse(), snaprun::UsageError)
            << (words.empty() ? "" : words.front());
}

TEST(Family, MapsTcpAndUdp) {
    EXPECT_EQ(snap_protocol(AF_INET, SOCK_STREAM, 0), SNAPPROTO_IPV4);
    EXPECT_EQ(snap_protocol(AF_INET, SOCK_DGRAM, IPPROTO_UDP), SNAPPROTO_IPV4);
    EXPECT_EQ(snap_protocol(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP),
              SNAPPROTO_IPV6);
    EXPECT_EQ(snap_protocol(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0),
              SNAPPROTO_IPV6);
}

TEST(Family, LeavesTheOthers) {
    EXPECT_FALSE(snap_protocol(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_FALSE(snap_protocol(AF_SNAP, SOCK_DGRAM, 0));
    EXPECT_FALSE(snap_protocol(AF_INET, SOCK_RAW, IPPROTO_UDP));
    EXPECT_FALSE(snap_protocol(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    EXPECT_FALSE(snap_protocol(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
    EXPECT_FALSE(snap_protocol(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    EXPECT_FALSE(snap_protocol(AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP));
}

TEST(RunReport, SaysWhyTheLastFellBack) {
    snaprun::Counts counts{};
    counts.mapped = 3;
    EXPECT_EQ(snaprun::report(counts),
              "snap-run: sockets: 3 AF_SNAP, 0 fell back\n");
    counts.fell_back = 2;
    counts.error = ESOCKTNOSUPPORT;
    EXPECT_EQ(snaprun::report(counts),
              "snap-run: sockets: 3 AF_SNAP, 2 fell back "
              "(Socket type not supported)\n");
    counts.mapped = counts.fell_back = 0;
    counts.elsewhere = 4;
    EXPECT_EQ(snaprun::report(counts),
              "snap-run: sockets: 0 AF_SNAP, 0 fell back; large allocations: "
              "0 in regions, 4 elsewhere\n");
}

TEST(RunReport, NamesTheReasonsThatThereWere) {
    snap_sock_stats stats{};
    stats.rx_msgs = 8;
    stats.rx_copied_bytes = 5;
    stats.rx_viewed_msgs = 6;
    stats.rx_viewed_bytes = 7;
    stats.tx_ref_msgs = 1;
    stats.tx_ref_bytes = 2;
    stats.copied_msgs[SNAP_COPY_ROUTE] = stats.tx_copied_msgs = 3;
    stats.copied_bytes[SNAP_COPY_ROUTE] = stats.tx_copied_bytes = 4;
    EXPECT_EQ(snaprun::report(stats),
              "snap-run: received 8 messages 12 bytes\n"
              "snap-run: received by view 6 messages 7 bytes\n"
              "snap-run: by reference 1 messages 2 bytes\n"
              "snap-run: copied 3 messages 4 bytes\n"
              "snap-run: copied route 3 messages 4 bytes\n");
}

snap_sock_stats referred(std::uint64_t bytes) {
    snap_sock_stats stats{};
    stats.tx_ref_msgs = bytes;
    stats.tx_ref_bytes = bytes;
    stats.rx_viewed_bytes = bytes;
    return stats;
}

TEST(RunLedger, ToldAgainOnlyWhatIsNewCounts) {
    const auto ledger = std::make_unique<snaprun::Ledger>();
    ledger->create();
    ledger->tell(7, referred(10));
    ledger->tell(8, referred(100));
    ledger->tell(7, referred(15));
    ledger->tell(7, referred(10)); // somebody was slow
    EXPECT_EQ(ledger->read().tx_ref_bytes, 115U);
    EXPECT_EQ(ledger->read().tx_ref_msgs, 115U);
    EXPECT_EQ(ledger->read().rx_viewed_bytes, 115U);
}

TEST(RunLedger, TheOldestIsForgotten) {
    const auto ledger = std::make_unique<snaprun::Ledger>();
    ledger->create();
    constexpr auto count = snaprun::Ledger::remembered + 1;
    for (std::uint64_t cookie = 1; cookie <= count; cookie++)
        ledger->tell(cookie, referred(1));
    ledger->tell(2, referred(1));
    EXPECT_EQ(ledger->read().tx_ref_bytes, count);
    ledger->tell(1, referred(1));
    EXPECT_EQ(ledger->read().tx_ref_bytes, count + 1);
}

// One process is killed while it tells.
TEST(RunLedger, OutlivesItsHolder) {
    void *const memory =
        ::mmap(nullptr, sizeof(snaprun::Ledger), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto *const ledger = new (memory) snaprun::Ledger{};
    ledger->create();
    const pid_t child = ::fork();
    if (child == 0) {
        ::pthread_mutex_lock(&ledger->lock);
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ledger->tell(1, referred(1));
    EXPECT_EQ(ledger->read().tx_ref_bytes, 1U);
    EXPECT_EQ(::pthread_mutex_lock(&ledger->lock), 0); // as good as new
    EXPECT_EQ(::pthread_mutex_unlock(&ledger->lock), 0);
    ::munmap(memory, sizeof(snaprun::Ledger));
}

// A folder with programs that nobody runs.
class Program : public testing::Test {
  public:
    ~Program() override { std::filesystem::remove_all(folder_); }

  protected:
    Program()
        : folder_(std::filesystem::temp_directory_path() /
                  ("snap-run-test-" + std::to_string(::getpid()))) {
        std::filesystem::create_directory(folder_);
    }
    std::string write(const std::string &name, const std::string &content) {
        const auto path = folder_ / name;
        std::ofstream(path, std::ios::binary) << content;
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path;
    }

    // With one segment of that type, and what is in it.
    static std::string elf(unsigned int segment, unsigned char bits,
                           const std::string &content = "") {
        Elf64_Ehdr header{};
        std::copy_n(ELFMAG, SELFMAG, std::begin(header.e_ident));
        header.e_ident[EI_CLASS] = bits;
        header.e_machine = EM_X86_64;
        header.e_phoff = sizeof(header);
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phnum = 1;
        Elf64_Phdr only{};
        only.p_type = segment;
        only.p_offset = sizeof(header) + sizeof(only);
        only.p_filesz = content.size();
        std::string file(reinterpret_cast<const char *>(&header),
                         sizeof(header));
        return file.append(reinterpret_cast<const char *>(&only), sizeof(only))
            .append(content);
    }

    // The code and text of the refusal; "" if there is none.
    static std::string refusal(const std::string &path) {
        try {
            snaprun::check_preload(path);
            return "";
        } catch (const snaprun::ProgramError &error) {
            return std::to_string(error.code()) + " " + error.what();
        }
    }

  private:
    std::filesystem::path folder_;
};

TEST_F(Program, TakesDynamicOnes) {
    EXPECT_EQ(refusal(write("dynamic", elf(PT_INTERP, ELFCLASS64))), "");
}

TEST_F(Program, TellsTheLoader) {
    for (const std::string loader :
         {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"}) {
        const auto path = write("dynamic", elf(PT_INTERP, ELFCLASS64, loader));
        EXPECT_EQ(snaprun::check_preload(path), loader);
        EXPECT_EQ(snaprun::is_gnu(loader), loader.starts_with("/lib64"));
    }
    EXPECT_EQ(
        snaprun::check_preload(write("dynamic", elf(PT_INTERP, ELFCLASS64,
                                                    std::string(5000, 'x'))))
            .size(),
        255U);
}

TEST_F(Program, RefusesStaticOnes) {
    const auto path = write("static", elf(PT_LOAD, ELFCLASS64));
    EXPECT_EQ(refusal(path), "126 " + path +
                                 ": statically linked: nothing can be "
                                 "preloaded");
}

TEST_F(Program, RefusesOtherMachines) {
    const auto path = write("other", elf(PT_INTERP, ELFCLASS32));
    EXPECT_NE(refusal(path).find("64-bit"), std::string::npos);
    EXPECT_NE(refusal(write("short", ELFMAG)).find("64-bit"),
              std::string::npos);
}

TEST_F(Program, RefusesThoseThatGainPrivileges) {
    const auto path = write("set-id", elf(PT_INTERP, ELFCLASS64));
    if (::getuid() != 0 || ::chown(path.c_str(), 65534, 65534) != 0)
        GTEST_SKIP() << "only root can give a file away";
    for (const mode_t mode : {04755U, 02755U}) {
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
        EXPECT_NE(refusal(path).find("set-user-ID"), std::string::npos) << mode;
    }
    ASSERT_EQ(::chmod(path.c_str(), 02745), 0); // mandatory locking
    EXPECT_EQ(refusal(path), "");
}

TEST_F(Program, LooksAtTheInterpreterOfAScript) {
    const auto dynamic = write("dynamic", elf(PT_INTERP, ELFCLASS64));
    const auto fixed = write("static", elf(PT_LOAD, ELFCLASS64));
    const auto script = write("script", "#! " + dynamic + " -x\n");
    EXPECT_EQ(refusal(script), "");
    EXPECT_EQ(refusal(write("second", "#!" + script + "\n")), "");
    EXPECT_NE(refusal(write("third", "#!" + fixed + "\n")).find("statically"),
              std::string::npos);
    const auto self = write("self", "");
    write("self", "#!" + self + "\n");
    EXPECT_NE(refusal(self).find("too many"), std::string::npos);
    EXPECT_NE(refusal(write("text", "echo\n")).find("#!"), std::string::npos);
}

TEST_F(Program, IsFoundAsTheShellDoes) {
    const auto path = write("program", elf(PT_INTERP, ELFCLASS64));
    EXPECT_EQ(snaprun::find_program(path), path);
    EXPECT_NE(snaprun::find_program("sh").find("/sh"), std::string::npos);
    for (const char *name : {"/nonexistent/x", "no-such-program-anywhere"}) {
        try {
            snaprun::find_program(name);
            ADD_FAILURE() << name;
        } catch (const snaprun::ProgramError &error) {
            EXPECT_EQ(error.code(), snaprun::exit_not_found);
        }
    }
    EXPECT_THROW(snaprun::find_program("/dev/null"), snaprun::ProgramError);
}

} // namespace
