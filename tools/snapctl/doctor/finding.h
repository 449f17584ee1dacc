// SPDX-License-Identifier: LGPL-2.1-or-later
// What the doctor found, and the words in which it says so.
#ifndef SNAPCTL_DOCTOR_FINDING_H
#define SNAPCTL_DOCTOR_FINDING_H

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace snapctl::doctor {

enum class Verdict {
    ok,
    note,   // works, but slower or less than it could
    missing // until something is done, something does not work
};

// One line of Documentation/your-own-machine.rst, word by word.  Words in
// capitals are filled in: SLOT, RELEASE and so on.
struct Advice {
    Verdict verdict;
    const char *check; // what was looked at, one word
    const char *what;
    const char *remedy;
};

struct Finding {
    Verdict verdict;
    std::string check;
    std::string what;   // one line of UTF-8
    std::string remedy; // likewise; "" if there is nothing to do
};

using Findings = std::vector<Finding>;

// Words in capitals, and what they stand for here.
using Values = std::vector<std::pair<std::string_view, std::string>>;

// What strangers have named is made printable.
Finding fill(const Advice &advice, const Values &values = {});
Finding good(const char *check, std::string_view what);

const char *verdict_name(Verdict verdict);

// One to three lines for each, and a last one that counts.
std::string findings_text(const Findings &findings);
std::string findings_json(const Findings &findings);

// If nothing is missing; notes do not count.
bool healthy(const Findings &findings);

} // namespace snapctl::doctor

#endif
